"""One press stops everything irreversible in its scope; it is shown, lifted by administrators, and on the trail."""

import pytest

from fleet.administration.kill_switch import lift
from fleet.administration.kill_switch import press as press_switch
from fleet.changes.review.requirements import assess
from fleet.guards import approvals, gates, kill_switch
from fleet.guards.window import may_begin
from fleet.lib.refused import Refused
from fleet.models import AuditEvent, Change, KillSwitch, Replacement, Role
from tests.changes.review import forms
from tests.changes.review.forms import World
from tests.support import people

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(db: None) -> World:
    return forms.world()


def press(here: World, *, account: bool = False, region: str = "", by: object = None) -> KillSwitch:
    return press_switch(
        actor=by or here.author,  # type: ignore[arg-type]
        account_id=here.account.pk if account else None,
        region=region,
        reason="Wrong image.",
        now=here.now,
    )


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ({}, "everywhere"),
        ({"account": True}, "in account prod"),
        ({"region": "cn-hangzhou"}, "in cn-hangzhou"),
        ({"account": True, "region": "cn-hangzhou"}, "in cn-hangzhou of account prod"),
    ],
)
def test_a_press_stops_start_begin_and_call_in_its_scope(here: World, scope: dict[str, object], words: str) -> None:
    running = forms.asked(here, here.machines[:2])
    forms.approve(here, running)
    forms.start(here, running)
    waiting = forms.asked(here, here.machines[2:])
    forms.approve(here, waiting)
    pressed = press(here, **scope)  # type: ignore[arg-type]
    said = f"The kill switch is on {words}, pressed by author: Wrong image."

    with pytest.raises(Refused, match="kill switch is on"):
        forms.start(here, waiting)
    running.refresh_from_db()
    assert may_begin(running, here.now) == said
    row = Replacement.objects.select_related("instance", "target", "account")[0]
    leaves = approvals.approved_leaves(running, here.now)
    assert gates.closed(row, running, row.account, leaves, here.now) == said
    assert kill_switch.pressed(row.account_id, row.region) == said
    found = {each.code: each for each in assess(waiting, here.second, here.now).requirements}["kill"]
    assert (found.ok, found.kind, found.words) == (False, "note", said)

    admin = people.person("admin", Role.ADMIN)
    lift(actor=admin, press_id=pressed.pk, reason="Image repaired.", now=here.now)
    assert kill_switch.presses() == []
    assert gates.closed(row, running, row.account, leaves, here.now) == ""
    forms.start(here, Change.objects.get(pk=waiting.pk))
    told = AuditEvent.objects.filter(action__startswith="killswitch.").order_by("number")
    assert [(event.action, event.actor_name, event.subject) for event in told] == [
        ("killswitch.pressed", "author", words),
        ("killswitch.lifted", "admin", words),
    ]


def test_elsewhere_goes_on(here: World) -> None:
    press(here, region="cn-shanghai")
    assert kill_switch.pressed(here.account.pk, "cn-hangzhou") == ""
    assert kill_switch.pressed(here.account.pk, "cn-shanghai")
    other = people.account("lab")
    press(here, account=True)
    assert kill_switch.pressed(other.pk, "cn-hangzhou") == ""


@pytest.mark.parametrize(
    ("role", "may"),
    [(Role.OPERATOR, True), (Role.APPROVER, True), (Role.ADMIN, True), (Role.VIEWER, False), (Role.AUDITOR, False)],
)
def test_who_presses(here: World, role: Role, may: bool) -> None:
    person = people.person("somebody", role, environment="lab")
    if may:
        assert press(here, by=person).pressed_by == person
    else:
        with pytest.raises(Refused, match="Call one of them") as refused:
            press(here, by=person)
        assert refused.value.kind == "forbidden"


def test_only_an_administrator_of_all_of_it_lifts(here: World) -> None:
    everywhere, prod = press(here), press(here, account=True)
    of_prod = people.person("prod-admin", Role.ADMIN, account=here.account)
    of_lab = people.person("lab-admin", Role.ADMIN, environment="lab")
    for person, one in ((here.author, prod), (of_prod, everywhere), (of_lab, prod), (of_lab, everywhere)):
        with pytest.raises(Refused, match="Only an administrator lifts"):
            lift(actor=person, press_id=one.pk, reason="x", now=here.now)
    with pytest.raises(Refused, match="No reason"):
        lift(actor=of_prod, press_id=prod.pk, reason=" ", now=here.now)
    lift(actor=of_prod, press_id=prod.pk, reason="Done.", now=here.now)
    with pytest.raises(Refused, match="off there already"):
        lift(actor=of_prod, press_id=prod.pk, reason="Done.", now=here.now)
    assert kill_switch.pressed(here.account.pk, "cn-hangzhou"), "the other press still holds"


def test_a_second_press_and_one_nowhere_are_refused(here: World) -> None:
    press(here)
    with pytest.raises(Refused, match="on there already"):
        press(here)
    with pytest.raises(Refused, match="no such region"):
        press(here, region="atlantis")
    with pytest.raises(Refused, match="No reason"):
        press_switch(actor=here.author, account_id=None, region="", reason="  ", now=here.now)
    assert KillSwitch.objects.count() == 1
