"""From draft to review: what is refused with a sentence, and that nothing is lost by it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fleet.changes.drafting import drafts
from fleet.lib.clock import ManualClock
from fleet.lib.refused import Refused
from fleet.models import Change, ChangeState, Instance, LeftOut, SealedSecret, Target
from tests.support import fleets
from tests.support.emulator import Emulator

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


def submit(change: Change, clock: ManualClock) -> Change:
    return drafts.submit(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())


def test_an_empty_selection_is_refused_and_never_means_all(fleet: Emulator, clock: ManualClock) -> None:
    with pytest.raises(Refused, match="No machine is selected"):
        drafts.create_draft(actor=fleets.person("operator"), instance_pks=[], now=clock.now())


def test_who_is_no_operator_gets_no_draft(fleet: Emulator, clock: ManualClock) -> None:
    machine = fleets.plain(1)[0]
    with pytest.raises(Refused, match="no operator") as refusal:
        drafts.create_draft(actor=fleets.person("reviewer"), instance_pks=[machine.pk], now=clock.now())
    assert refusal.value.kind == "forbidden"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"title": " "}, "title"),
        ({"reason": ""}, "reason"),
        ({"key_pair": ""}, "key_pair"),
        ({"login": "password"}, "password"),
        ({"disk_size": 39}, "disk_size"),
        ({"disk_size": 501}, "disk_size"),
        ({"key_pair": "nobody"}, "key_pair"),
    ],
)
def test_what_is_missing_or_wrong_is_named_with_its_field(
    fleet: Emulator, clock: ManualClock, given: dict[str, object], field: str
) -> None:
    change = fleets.draft(fleets.plain(2), fleets.image_named("Ubuntu 24.04"), clock.now(), **given)
    with pytest.raises(Refused) as refusal:
        submit(change, clock)
    assert refusal.value.field == field
    change.refresh_from_db()
    assert change.state == ChangeState.DRAFT
    assert change.targets.count() == 2


def test_submit_reads_every_machine_afresh_and_stores_what_was_seen(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(3)
    change = fleets.in_review(machines, fleets.image_named("Ubuntu 24.04"), clock)
    assert change.state == ChangeState.IN_REVIEW
    assert len(change.spec_digest) == 64
    for target in change.targets.select_related("instance"):
        assert target.open
        assert target.seen["disk_id"] == target.instance.disk_id
        assert target.seen["status"] == "Running"
        assert len(target.leaf_digest) == 64


def test_an_image_that_vanished_sends_it_back_with_a_sentence_and_loses_nothing(
    fleet: Emulator, clock: ManualClock
) -> None:
    image = fleets.image_named("Ubuntu 24.04")
    change = fleets.draft(fleets.plain(2), image, clock.now())
    submit(change, clock)
    fleet.delete_image(image.image_id)
    fleets.check_all(clock)

    change.refresh_from_db()
    assert change.state == ChangeState.DRAFT
    assert change.revision == 2
    assert "The image does not exist" in change.check_note
    assert change.targets.count() == 2
    assert change.image_id == image.image_id
    assert not Target.objects.filter(open=True).exists()


def test_a_machine_that_changed_since_is_left_out_with_its_reason(fleet: Emulator, clock: ManualClock) -> None:
    machines = fleets.plain(3)
    change = fleets.draft(machines, fleets.image_named("Ubuntu 24.04"), clock.now())
    submit(change, clock)
    fleet.patch_instance(machines[1].instance_id, OperationLocks=["security"])
    fleets.check_all(clock)

    change.refresh_from_db()
    assert change.state == ChangeState.IN_REVIEW
    assert set(change.targets.values_list("instance_id", flat=True)) == {machines[0].pk, machines[2].pk}
    left = LeftOut.objects.get(change=change)
    assert (left.instance, left.code) == (machines[1], "InstanceLockedForSecurity")


def test_two_people_cannot_submit_the_same_machine(fleet: Emulator, clock: ManualClock) -> None:
    image = fleets.image_named("Ubuntu 24.04")
    machines = fleets.plain(3)
    first = fleets.draft(machines[:2], image, clock.now())
    second = fleets.draft(machines[1:], image, clock.now())
    submit(first, clock)
    with pytest.raises(Refused, match=rf"#{first.pk}") as refusal:
        submit(second, clock)
    assert str(first.pk) in refusal.value.sentence
    second.refresh_from_db()
    assert second.state == ChangeState.DRAFT
    assert second.targets.count() == 2


def test_what_was_typed_is_saved_and_submitted_in_one_act(fleet: Emulator, clock: ManualClock) -> None:
    image = fleets.image_named("Ubuntu 24.04")
    change = fleets.draft(fleets.plain(2), image, clock.now())
    typed = fleets.settings(image, title="Typed last")
    drafts.submit(actor=fleets.person("operator"), change_id=change.pk, now=clock.now(), settings=typed)
    change.refresh_from_db()
    assert (change.state, change.title) == (ChangeState.CHECKING, "Typed last")


def test_what_was_typed_stays_saved_where_it_cannot_be_submitted(fleet: Emulator, clock: ManualClock) -> None:
    image = fleets.image_named("Ubuntu 24.04")
    machines = fleets.plain(2)
    submit(fleets.draft(machines, image, clock.now()), clock)
    change = fleets.draft(machines, image, clock.now())
    typed = fleets.settings(image, title="Typed last")
    for settings, field, words in (
        (replace(typed, reason=""), "reason", "No reason is given"),
        (typed, "", "in another open change"),
    ):
        with pytest.raises(drafts.NotSubmitted, match=words) as refusal:
            drafts.submit(actor=fleets.person("operator"), change_id=change.pk, now=clock.now(), settings=settings)
        assert refusal.value.field == field
        change.refresh_from_db()
        assert (change.state, change.title, change.reason) == (ChangeState.DRAFT, "Typed last", settings.reason)
    assert not change.targets.filter(open=True).exists()


def test_an_edit_by_somebody_else_in_between_is_not_submitted_unseen(
    fleet: Emulator, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = fleets.image_named("Ubuntu 24.04")
    change = fleets.draft(fleets.plain(2), image, clock.now())
    actor, edit = fleets.person("operator"), drafts.edit_draft

    def edit_and_another_edits(**given: Any) -> Change:
        saved = edit(**given)
        clock.advance(1)
        edit(**given | {"settings": fleets.settings(image, title="By another page"), "now": clock.now()})
        return saved

    monkeypatch.setattr(drafts, "edit_draft", edit_and_another_edits)
    typed = fleets.settings(image, title="Typed last")
    with pytest.raises(drafts.NotSubmitted, match="the draft was edited once more") as refusal:
        drafts.submit(actor=actor, change_id=change.pk, now=clock.now(), settings=typed)
    assert refusal.value.kind == "moved"
    change.refresh_from_db()
    assert (change.state, change.title) == (ChangeState.DRAFT, "By another page")


def test_what_may_not_be_saved_is_not_submitted_either(fleet: Emulator, clock: ManualClock) -> None:
    image = fleets.image_named("Ubuntu 24.04")
    change = fleets.draft(fleets.plain(2), image, clock.now())
    shown_at = change.edited_at
    clock.advance(60)
    drafts.edit_draft(
        actor=fleets.person("operator"),
        change_id=change.pk,
        settings=fleets.settings(image, title="By another page"),
        now=clock.now(),
    )
    typed = fleets.settings(image, title="Typed last")
    for actor, seen, refused in (("operator", shown_at, drafts.Overtaken), ("reviewer", None, Refused)):
        with pytest.raises(refused) as refusal:
            drafts.submit(actor=fleets.person(actor), change_id=change.pk, now=clock.now(), settings=typed, seen=seen)
        assert not isinstance(refusal.value, drafts.NotSubmitted)
        change.refresh_from_db()
        assert (change.state, change.title) == (ChangeState.DRAFT, "By another page")


def test_leaving_machines_out_keeps_the_reason(fleet: Emulator, clock: ManualClock) -> None:
    change = fleets.draft(fleets.plain(3), fleets.image_named("Ubuntu 24.04"), clock.now())
    target = change.targets.all()[0]
    drafts.leave_out(
        actor=fleets.person("operator"),
        change_id=change.pk,
        reasons={target.pk: ("disk_shrinks", "The disk would shrink")},
        now=clock.now(),
    )
    assert change.targets.count() == 2
    assert LeftOut.objects.get(change=change).reason == "The disk would shrink"


def test_a_new_password_destroys_the_old_one_and_discarding_destroys_the_last(
    fleet: Emulator, clock: ManualClock
) -> None:
    image = fleets.image_named("Ubuntu 24.04")
    wanted = {"login": "password", "key_pair": ""}
    change = fleets.draft(fleets.plain(1), image, clock.now(), password=fleets.Secret("FirstOne11"), **wanted)
    first = change.secret
    change = drafts.edit_draft(
        actor=fleets.person("operator"),
        change_id=change.pk,
        settings=fleets.settings(image, password=fleets.Secret("SecondOne22"), **wanted),
        now=clock.now(),
    )
    assert first is not None
    first.refresh_from_db()
    assert (first.sealed, first.destroyed_at is None) == ("", False)
    drafts.discard(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())
    assert not SealedSecret.objects.filter(kind="password").exclude(sealed="").exists()


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (1, "1 machine of your selection no longer exists. Select again."),
        (2, "2 machines of your selection no longer exist. Select again."),
    ],
)
def test_a_machine_that_is_gone_cannot_be_selected(fleet: Emulator, clock: ManualClock, gone: int, said: str) -> None:
    pks = [machine.pk for machine in fleets.plain(3)]
    Instance.objects.filter(pk__in=pks[:gone]).update(gone_at=clock.now())
    with pytest.raises(Refused) as refused:
        drafts.create_draft(actor=fleets.person("operator"), instance_pks=pks, now=clock.now())
    assert refused.value.sentence == said
