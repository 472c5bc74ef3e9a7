"""Two people at the same instant, with real threads and real commits: the count comes out right, an edit is never approved."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from fleet.changes.review import deciding, removing
from fleet.lib.refused import Refused
from fleet.models import Approval, Change, ChangeState, Contributor, QuorumRule, User
from tests.changes.review import forms
from tests.changes.review.forms import World
from tests.support.databases import CommittedDatabase

RACES = 40  # two approvals without both locks, of the use case and of the trigger, fail at the first or second


class Pair:
    """Two threads that do something at the same instant, round after round, on a connection of their own each."""

    def __init__(self) -> None:
        self.together = threading.Barrier(3)
        self.work: list[Callable[[], object]] = []
        self.said: list[str] = []
        self.threads = [threading.Thread(target=self._go, args=[place], daemon=True) for place in (0, 1)]
        for thread in self.threads:
            thread.start()

    def both(self, first: Callable[[], object], second: Callable[[], object]) -> list[str]:
        """Do both at once; return the sentences of those that were refused."""
        self.work, self.said = [first, second], []
        self.together.wait(timeout=30)
        self.together.wait(timeout=30)
        return self.said

    def _go(self, place: int) -> None:
        try:
            while True:
                self.together.wait(timeout=60)
                try:
                    self.work[place]()
                except Refused as refused:
                    self.said.append(refused.sentence)
                except Exception as error:
                    self.said.append(repr(error))
                finally:
                    self.together.wait(timeout=60)
        except threading.BrokenBarrierError:
            connection.close()


@pytest.fixture
def pair(committed_db: CommittedDatabase) -> Iterator[Pair]:
    two = Pair()
    yield two
    two.together.abort()
    for thread in two.threads:
        thread.join(timeout=10)


@pytest.fixture
def here(committed_db: CommittedDatabase) -> World:
    return forms.world(2)


def free(change: Change) -> None:
    change.targets.update(open=False)


def approval(here: World, change: Change, by: User) -> Callable[[], Change]:
    """Return an approval of what the page showed, ready to be sent."""
    shown: Any = {"digest": change.spec_digest, "confirmed": "2", "now": here.now}
    return lambda: deciding.approve(actor=by, change_id=change.pk, **shown)


def again(change: Change) -> None:
    """Put the same form in review once more, without its approvals: quicker than to make another one."""
    Approval.objects.filter(change=change, voided_at=None).update(voided_at=forms.NOON)
    if change.state == ChangeState.APPROVED:
        Change.objects.filter(pk=change.pk).update(state=ChangeState.IN_REVIEW)


def test_two_approvals_at_the_same_instant_are_two(here: World, pair: Pair) -> None:
    QuorumRule.objects.create(name="Two", approvals=2)
    change = forms.asked(here)
    for _ in range(RACES):
        assert pair.both(approval(here, change, here.reviewer), approval(here, change, here.second)) == []
        change.refresh_from_db()
        assert change.state == ChangeState.APPROVED
        assert change.approvals.filter(voided_at=None).count() == 2
        again(change)


def test_one_person_in_two_tabs_is_one(here: World, pair: Pair) -> None:
    QuorumRule.objects.create(name="Two", approvals=2)
    change = forms.asked(here)
    for _ in range(RACES):
        said = pair.both(approval(here, change, here.reviewer), approval(here, change, here.reviewer))
        assert said == ["You have approved this form already. It waits for 1 other person."]
        change.refresh_from_db()
        assert change.state == ChangeState.IN_REVIEW
        assert change.approvals.filter(voided_at=None).count() == 1
        again(change)


def test_an_approval_and_an_edit_at_the_same_instant(here: World, pair: Pair) -> None:
    """Either the approval was first and the edit voids it, or the edit was first and there is no approval."""
    for _ in range(RACES):
        change = forms.asked(here)
        fresh = change.spec_digest

        def approve(change: Change = change, digest: str = fresh) -> None:
            forms.approve(here, change, digest=digest)

        def edit(change: Change = change) -> None:
            deciding.withdraw(actor=here.author, change_id=change.pk, now=here.now)

        said = pair.both(approve, edit)
        change.refresh_from_db()
        assert (change.state, change.revision) == (ChangeState.DRAFT, 2)
        assert deciding.valid_approvals(change, here.now) == []
        assert not change.approvals.filter(voided_at=None).exists()
        assert len(said) + change.approvals.count() == 1, said


def test_an_approval_written_past_the_use_case_races_a_hand_in_the_change(here: World, pair: Pair) -> None:
    """Whoever is first, nobody who had a hand in it counts."""
    for _ in range(RACES):
        change = forms.asked(here)

        def insert(change: Change = change) -> None:
            forms.insert(here, change, here.reviewer)

        def contribute(change: Change = change) -> None:
            Contributor.objects.create(change=change, revision=1, user=here.reviewer)

        said = pair.both(insert, contribute)
        assert len(said) <= 1
        assert all("had a hand" in each for each in said)
        assert deciding.valid_approvals(change, here.now) == []
        free(change)


def test_an_approval_races_the_removal_of_a_machine(here: World, pair: Pair) -> None:
    """The number that was typed is the number that is approved, or nothing is."""
    for _ in range(RACES):
        change = forms.asked(here)
        target = change.targets.values_list("pk", flat=True).order_by("position")[0]

        def approve(change: Change = change) -> None:
            forms.approve(here, change, confirmed="2")

        def remove(change: Change = change, target: int = target) -> None:
            removing.remove_machines(
                actor=here.author, change_id=change.pk, target_ids=[target], reason="Logs.", now=here.now
            )

        said = pair.both(approve, remove)
        change.refresh_from_db()
        given = Approval.objects.filter(change=change)
        assert change.targets.count() == 1
        if said:
            assert "Type 1 to confirm" in said[0]
            assert not given.exists()
        else:
            assert change.state == ChangeState.APPROVED
            assert len(given.get().leaves) == 2
        free(change)
