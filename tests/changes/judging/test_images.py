"""One chosen image, many regions and accounts: which image each place gets, and who is left without."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.changes.drafting import drafts
from fleet.changes.judging import images
from fleet.changes.judging.images import AccountRegion, match_images
from fleet.changes.judging.judgement import DraftJudgement, judge_draft
from fleet.changes.judging.machine import disk_request_of
from fleet.lib.clock import ManualClock
from fleet.models import Change, ChangeState, Image, Instance, Target
from tests.support import contract, fleets
from tests.support.contract import NOW
from tests.support.emulator import Emulator

HERE, THERE = (1, "cn-hangzhou"), (2, "cn-beijing")


def image(place: AccountRegion, image_id: str, **given: Any) -> Image:
    return contract.image(account_id=place[0], region=place[1], image_id=image_id, **({"name": "golden"} | given))


def found(rows: list[Image], by_hand: dict[AccountRegion, str] | None = None) -> tuple[str | None, str]:
    """Return what THERE gets for the image m-1."""
    one = match_images([HERE, THERE], "m-1", by_hand or {}, rows)[THERE]
    return (one.image.image_id if one.image else None), one.how


def test_the_same_id_is_the_same_image() -> None:
    assert found([image(HERE, "m-1"), image(THERE, "m-1")]) == ("m-1", "same")


def test_a_copy_has_another_id_and_is_found_by_what_it_is() -> None:
    assert found([image(HERE, "m-1", owner="self"), image(THERE, "m-7", owner="self")]) == ("m-7", "copied")


@pytest.mark.parametrize(
    "other",
    [{"name": "silver"}, {"os_name": "Ubuntu 22.04"}, {"architecture": "arm64"}, {"size": 41}, {"owner": "others"}],
)
def test_what_differs_is_no_copy(other: dict[str, Any]) -> None:
    rows = [image(HERE, "m-1", owner="self"), image(THERE, "m-7", **({"owner": "self"} | other))]
    assert found(rows) == (None, "")


@pytest.mark.parametrize("owner", ["system", "marketplace"])
def test_an_image_of_the_provider_has_no_copies(owner: str) -> None:
    assert found([image(HERE, "m-1", owner=owner), image(THERE, "m-7", owner="self")]) == (None, "")


def test_images_without_a_name_are_not_equal_by_it() -> None:
    rows = [image(HERE, "m-1", owner="self", name=""), image(THERE, "m-7", owner="self", name="")]
    assert found(rows) == (None, "")


def test_of_several_copies_the_newest_counts() -> None:
    ages = {"m-7": 9, "m-8": 2, "m-9": 5}
    copies = [image(THERE, key, owner="self", created_at=NOW - timedelta(days=days)) for key, days in ages.items()]
    assert found([image(HERE, "m-1", owner="self"), *copies]) == ("m-8", "copied")


@pytest.mark.parametrize(("status", "gets"), [("Deprecated", "m-8"), ("Creating", "m-7"), ("CreateFailed", "m-7")])
def test_a_copy_that_cannot_be_used_does_not_count(status: str, gets: str) -> None:
    older = image(THERE, "m-7", owner="self", created_at=NOW - timedelta(days=3))
    newer = image(THERE, "m-8", owner="self", created_at=NOW, status=status)
    assert found([image(HERE, "m-1", owner="self"), older, newer]) == (gets, "copied")


def test_what_a_person_chose_counts_before_what_was_found() -> None:
    rows = [image(HERE, "m-1", owner="self"), image(THERE, "m-7", owner="self"), image(THERE, "m-3", name="other")]
    assert found(rows, {THERE: "m-3"}) == ("m-3", "chosen")


def test_a_chosen_image_that_is_gone_is_not_replaced_by_a_guess() -> None:
    assert found([image(HERE, "m-1"), image(THERE, "m-1")], {THERE: "m-3"}) == (None, "chosen")


def test_an_image_of_another_place_is_none_of_this_one() -> None:
    assert found([image(HERE, "m-1"), image((1, "cn-beijing"), "m-1"), image((2, "cn-hangzhou"), "m-1")]) == (None, "")


# ---- in a change over several regions ----


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


def two_regions() -> list[Instance]:
    return [*fleets.plain(2), *fleets.plain(2, region="cn-shanghai")]


def golden(region: str) -> Image:
    found = Image.objects.filter(
        region=region, owner="self", os_type="linux", architecture="x86_64", status="Available"
    )
    one: Image = found.filter(name__startswith="golden").order_by("name")[0]
    return one


def draft(clock: ManualClock) -> Change:
    return fleets.draft(two_regions(), golden("cn-hangzhou"), clock.now(), disk_size=None)


def judged(change: Change, clock: ManualClock) -> DraftJudgement:
    return judge_draft(change=change, disk_request=disk_request_of(change), now=clock.now())


@pytest.mark.django_db
def test_a_copied_image_is_put_on_the_machines_of_its_region(fleet: Emulator, clock: ManualClock) -> None:
    change = draft(clock)
    images.map_images(change, {})
    change.save()
    judgement = judged(change, clock)
    assert judgement.blocked == 0
    mapped = {region: (one.image and one.image.image_id, one.how) for (_, region), one in judgement.images.items()}
    there = golden("cn-shanghai").image_id
    assert mapped == {"cn-hangzhou": (change.image_id, "same"), "cn-shanghai": (there, "copied")}
    for target in change.targets.select_related("instance"):
        wanted = there if target.instance.region == "cn-shanghai" else change.image_id
        assert images.image_of(change, target) == wanted


@pytest.mark.django_db
def test_machines_of_a_place_without_the_image_are_blocked_until_somebody_chooses(
    fleet: Emulator, clock: ManualClock
) -> None:
    other = golden("cn-shanghai")
    Image.objects.filter(pk=other.pk).update(name="renamed")
    change = draft(clock)
    judgement = judged(change, clock)
    (cause,) = judgement.refused
    assert (cause.machines, cause.problem.code, cause.problem.field) == (2, "InvalidImageId.NotFound", "image_id")
    assert "cn-shanghai" in cause.problem.why
    place = (other.account_id, "cn-shanghai")
    assert set(cause.targets) == set(change.targets.filter(instance__region="cn-shanghai").values_list("pk", flat=True))

    images.map_images(change, {place: other.image_id})
    change.save()
    assert judged(change, clock).blocked == 0
    assert change.images[images.key_of(place)] == [other.image_id, "chosen"]
    assert images.by_hand_of(change) == {place: other.image_id}


@pytest.mark.django_db
def test_the_check_reads_the_image_of_each_place(fleet: Emulator, clock: ManualClock) -> None:
    there = golden("cn-shanghai")
    change = draft(clock)
    images.map_images(change, {})
    change.save()
    drafts.submit(actor=fleets.person("operator"), change_id=change.pk, now=clock.now())
    fleet.delete_image(there.image_id)
    fleets.check_all(clock)

    change.refresh_from_db()
    assert change.state == ChangeState.IN_REVIEW
    assert {target.instance.region for target in change.targets.select_related("instance")} == {"cn-hangzhou"}
    left = change.left_out.select_related("instance")
    assert {(row.code, row.instance.region) for row in left if row.instance} == {
        ("InvalidImageId.NotFound", "cn-shanghai")
    }
    # What was approved stays as it was written, whatever the mirror shows later.
    Image.objects.filter(region="cn-hangzhou", image_id=change.image_id).update(name="renamed")
    assert set(images.by_hand_of(change).values()) == {change.image_id, there.image_id}


@pytest.mark.django_db
def test_what_is_put_back_has_no_image_yet(fleet: Emulator, clock: ManualClock) -> None:
    change = draft(clock)
    target = Target(change=change, instance=fleets.plain(1)[0], snapshot_id="s-1")
    assert images.image_of(change, target) == ""
