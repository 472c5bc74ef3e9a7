"""What is put back on a machine is what was taken of that very machine: by a file, in the judgement, in review."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fleet.changes.drafting import change_file, drafts
from fleet.changes.drafting.settings import lacking
from fleet.changes.judging.judgement import judge_draft
from fleet.changes.judging.machine import disk_request_of, judge_some
from fleet.changes.review.groups import grouped
from fleet.guards.policy import Policy
from fleet.lib.canonical import canonical_json
from fleet.lib.clock import DatabaseClock
from fleet.lib.refused import Refused
from fleet.models import Account, Change, Instance, Role, Snapshot, User
from tests.support.people import account, change, machine, person, replacement

pytestmark = pytest.mark.django_db
TAGS = {"fleet-os": "allowed", "env": "prod"}


@pytest.fixture
def operator() -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def machines(prod: Account) -> list[Instance]:
    return [machine(prod, number, tags=TAGS) for number in (1, 2)]


def done(author: User, machines: list[Instance]) -> Change:
    """Make a finished change with a snapshot of each machine: `s-<key of the machine>-<number of the change>`."""
    made, now = change(author, machines, state="finished"), DatabaseClock().now()
    made.targets.update(open=False)
    for one in machines:
        row = replacement(made, one, "done", "succeeded", finished_at=now - timedelta(days=2))
        Snapshot.objects.create(
            account=one.account,
            region=one.region,
            instance=one,
            replacement=row,
            snapshot_id=f"s-{one.pk}-{made.pk}",
            disk_id=one.disk_id,
            size=40,
            os_type="linux",
            os_name="CentOS 7.9 64 bit",
            architecture="x86_64",
            ready_at=now,
            created_at=now,
            expires_at=now + timedelta(days=9),
        )
    return made


def undo_of(undone: Change, author: User, machines: list[Instance]) -> Change:
    fields: dict[str, Any] = {"login": "image", "reason": "r", "policy": Policy().as_json(), "undoes": undone}
    made = change(author, machines, state="draft", **fields)
    for target in made.targets.all():
        target.snapshot_id = f"s-{target.instance_id}-{undone.pk}"
        target.save()
    return made


def upload(actor: User, one: Change, edit: Callable[[list[Any]], None] = lambda rows: None) -> Change:
    rows = [json.loads(line) for line in change_file.lines(one)]
    edit(rows)
    content = "\n".join(canonical_json(row) for row in rows).encode()
    return change_file.upload(actor=actor, content=content, now=DatabaseClock().now())


def test_the_file_of_an_undo_makes_the_same_undo_again(operator: User, machines: list[Instance]) -> None:
    undone = done(operator, machines)
    undo = undo_of(undone, operator, machines)
    made, now = upload(operator, undo), DatabaseClock().now()
    assert made.undoes == undone
    assert lacking(made, now) == lacking(undo, now) == []
    kept = ("instance", "snapshot_id")
    in_order = [list(each.targets.order_by("position").values_list(*kept)) for each in (made, undo)]
    assert in_order[0] == in_order[1]
    drafts.submit(actor=operator, change_id=made.pk, now=now)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda rows: rows[1].update(snapshot_id=rows[2]["snapshot_id"]), "no change took of it"),
        (lambda rows: rows[1].update(snapshot_id="s-of-nobody"), "no change took of it"),
        (lambda rows: rows[1].update(snapshot_id=""), "others do not"),
        (lambda rows: rows[0]["settings"].update(image_id="m-1"), "Leave one of the two"),
    ],
)
def test_a_file_that_is_not_the_undo_of_one_change_makes_no_draft(
    operator: User, machines: list[Instance], edit: Callable[[list[Any]], None], said: str
) -> None:
    undo = undo_of(done(operator, machines), operator, machines)
    with pytest.raises(change_file.Unfit) as refused:
        upload(operator, undo, edit)
    assert any(said in fault for fault in refused.value.faults), refused.value.faults
    assert Change.objects.latest("pk") == undo


def test_a_file_cannot_mix_the_snapshots_of_two_changes_nor_take_one_that_no_change_took(
    operator: User, machines: list[Instance]
) -> None:
    first, second = done(operator, machines), done(operator, machines)
    undo = undo_of(first, operator, machines)
    other = f"s-{machines[0].pk}-{second.pk}"
    with pytest.raises(change_file.Unfit) as refused:
        upload(operator, undo, lambda rows: rows[1].update(snapshot_id=other))
    assert refused.value.faults == ["The snapshots were taken by several changes. Make a file for each of these."]
    Snapshot.objects.update(replacement=None)
    with pytest.raises(change_file.Unfit, match="No draft was made"):
        upload(operator, undo)


def test_a_snapshot_of_another_machine_is_blocked_alone_and_among_thousands(
    operator: User, machines: list[Instance]
) -> None:
    secret, mine = machines
    undo = undo_of(done(operator, machines), operator, [mine])
    undo.targets.update(snapshot_id=Snapshot.objects.get(instance=secret).snapshot_id)
    now, disk_request = DatabaseClock().now(), disk_request_of(undo)
    one_by_one = judge_some(
        change=undo, targets=list(undo.targets.select_related("instance")), disk_request=disk_request, now=now
    )
    refusals = [judged.refusal for judged in one_by_one]
    refusals += [cause.problem for cause in judge_draft(change=undo, disk_request=disk_request, now=now).refused]
    assert [refusal and refusal.code for refusal in refusals] == ["snapshot_foreign"] * 2
    with pytest.raises(Refused, match="taken of another machine"):
        drafts.submit(actor=operator, change_id=undo.pk, now=now)


def test_a_review_shows_what_is_put_back_whatever_the_change_says_of_itself(
    operator: User, machines: list[Instance]
) -> None:
    undo = undo_of(done(operator, machines), operator, machines)
    undo.undoes, undo.image_id = None, "ubuntu_24_04_x64"
    undo.save()
    assert [group.becomes for group in grouped(undo).groups] == ["CentOS 7, as it was"]
    Snapshot.objects.update(os_name="")
    assert [group.becomes for group in grouped(undo).groups] == ["The former system, as it was"]
