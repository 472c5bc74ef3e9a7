"""Ticks, pages, filters, two kinds of tabs, machines that come and go, in any order: screen, server and draft agree."""

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from fleet.lib.clock import DatabaseClock
from fleet.models import Change, Instance, Role
from tests.support.people import account, machine, person, signed_in
from tests.support.torture import rounds
from tests.web.instances.choosing import Tab, drafted

pytestmark = pytest.mark.django_db


class Choosing(RuleBasedStateMachine):
    """Two kinds of tab, pages, filters, and machines that come and go; the model is a set of machines for each tab."""

    tabs = Bundle("tabs")

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        self.prod = account()
        self.machines = [machine(self.prod, n) for n in range(30)]
        self.client = signed_in(person("operator", Role.OPERATOR))
        self.open: list[tuple[Tab, set[int]]] = []

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    @rule(target=tabs, script=st.booleans())
    def opens(self, script: bool) -> Any:
        self.open.append((Tab(self.client, script=script), set()))
        return len(self.open) - 1

    @rule(at=tabs, data=st.data(), on=st.booleans())
    def ticks(self, at: int, data: st.DataObject, on: bool) -> None:
        tab, model = self.open[at]
        # A machine that vanished behind an old page cannot be ticked any more (a test of its own says so).
        present = {pk for pk, *_ in self.present()}
        rows = [pk for pk in tab.rows if pk in present or not on]
        some = data.draw(st.sets(st.sampled_from(rows), max_size=5)) if rows else set()
        tab.tick(*some, on=on)
        model.update(some) if on else model.difference_update(some)

    @rule(at=tabs, way=st.sampled_from(["next", "previous"]))
    def turns(self, at: int, way: str) -> None:
        self.open[at][0].turn(way)

    @rule(at=tabs, q=st.sampled_from(["", "web-000", "web-001", "1", "no such"]))
    def narrows(self, at: int, q: str) -> None:
        self.open[at][0].narrow(q=q)

    @rule(at=tabs)
    def all_matching(self, at: int) -> None:
        tab, model = self.open[at]
        if not tab.rows:
            return  # the button is not on the page
        q = tab.filter.get("q", "")
        tab.press(act="all")
        model |= {pk for pk, name, address in self.present() if q in name or q in address}
        assert tab.selected == len(model)

    @rule(at=tabs)
    def clears(self, at: int) -> None:
        tab, model = self.open[at]
        tab.press(act="clear")
        model.clear()

    @rule(at=tabs)
    def reloads(self, at: int) -> None:
        tab, _ = self.open[at]
        tab.press()  # without htmx the ticks of this page are sent by the next press
        tab.reload()

    @rule(number=st.integers(0, 29))
    def vanishes(self, number: int) -> None:
        for tab, _ in self.open:
            if not tab.script and self.machines[number].pk in tab.ticks:
                tab.press()  # ticks that no press has sent yet would vanish with the machine
        Instance.objects.filter(pk=self.machines[number].pk).update(gone_at=DatabaseClock().now())

    @rule(number=st.integers(0, 29))
    def appears(self, number: int) -> None:
        Instance.objects.filter(pk=self.machines[number].pk).update(gone_at=None)

    @rule(at=consumes(tabs))
    def drafts(self, at: int) -> None:
        tab, model = self.open[at]
        present = {pk for pk, *_ in self.present()}
        answer = tab.change()
        if not model & present:
            assert answer.status_code in (409, 422)
        else:
            assert answer.status_code == 302
            assert drafted() == model
            assert set(Change.objects.latest("pk").targets.values_list("instance_id", flat=True)) == model & present
        tab.read(self.client.get(f"/instances?selection={tab.selection}"))
        tab.filter = {}

    @invariant()
    def the_screen_says_what_is_selected(self) -> None:
        for tab, model in self.open:
            assert tab.selected == len(model)
            assert tab.ticks == model & set(tab.rows)

    def present(self) -> list[tuple[int, str, str]]:
        return list(Instance.objects.present().values_list("pk", "name", "private_ip"))


def test_pages_filters_and_tabs_resolve_to_what_the_screen_said() -> None:
    run_state_machine_as_test(
        Choosing,
        settings=settings(
            max_examples=rounds(10), stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
