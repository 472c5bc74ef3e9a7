"""What the review screen says of a change: its figures, groups and marks, waves and steps, and what moved."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from fleet.changes.review import deciding, last_seen
from fleet.changes.review.groups import grouped, machines_of
from fleet.guards.policy import Policy, PolicyStep
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, AuditEvent, Change, Comment, Login, Role, SealedSecret, SeenMark, Target, User
from tests.support.people import CENTOS, WINDOWS, account, change, image, machine, person, signed_in
from tests.support.rules import rules_off

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def prod() -> Account:
    prod = account()
    image(prod)
    return prod


@pytest.fixture
def author() -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def reviewer() -> User:
    return person("reviewer", Role.APPROVER)


def asked(prod: Account, author: User, *findings: str, **fields: Any) -> Change:
    """A change in review of six machines, the last of them with these warnings."""
    few = [machine(prod, number, os_name=CENTOS) for number in range(5)] + [machine(prod, 9, os_name=WINDOWS)]
    values = {"image_id": "ubuntu_24_04_x64", "spec_digest": "a" * 64, "checked_at": DatabaseClock().now()} | fields
    one = change(author, few, **values)
    rows = list(one.targets.select_related("instance"))
    for row in rows:
        row.seen = {"disk_id": row.instance.disk_id, "size": 40, "status": "Running"}
        row.findings = [[code, "warn", "x"] for code in findings] if row.instance.os_name == WINDOWS else []
        row.leaf_digest = f"{row.pk:064x}"
    with rules_off():
        Target.objects.bulk_update(rows, ["seen", "findings", "leaf_digest"])
    return one


def page_of(one: Change, who: User) -> str:
    return signed_in(who).get(reverse("change", args=[one.pk])).text


def key_of(one: Change) -> str:
    [group] = grouped(one).warning_groups
    return group.key


# --- Groups.


def test_machines_are_grouped_by_what_happens_to_them_and_found_again(prod: Account, author: User) -> None:
    one = asked(prod, author, "os_family", "data_disks")
    what = grouped(one)
    assert [(group.machines, group.serious) for group in what.groups] == [(1, True), (5, False)]
    assert (what.machines, what.warned, what.noted, what.clear) == (6, 1, 0, 5)
    assert [code for code, _, _ in what.groups[0].warnings] == ["os_family"]
    assert what.groups[0].notes == [("Has data disks", 1)]
    assert what.groups[0].size_words == "40 GiB, stays"
    for group in what.groups:
        assert machines_of(one, group).count() == group.machines
    assert machines_of(one, what.groups[0]).get().instance.os_name == WINDOWS
    assert what.groups[1].names == ["web-0000", "web-0001", "web-0002"]


def test_machines_whose_present_disks_differ_in_size_alone_stay_together(prod: Account, author: User) -> None:
    one = asked(prod, author, disk_size=80)
    row = one.targets.first()
    assert row is not None
    row.seen = row.seen | {"size": 60}
    with rules_off():
        row.save()
    assert grouped(one).groups[-1].size_words == "40–60 → 80 GiB"


# --- Marks.


def test_a_group_with_warnings_is_to_be_marked_before_the_approval(prod: Account, author: User, reviewer: User) -> None:
    one = asked(prod, author, "os_family")
    client = signed_in(reviewer)
    page = page_of(one, reviewer)
    assert 'aria-disabled="true" aria-describedby="approve-why"' in page
    assert "Off until 1 warning is marked as seen." in page
    form = {"digest": one.spec_digest, "confirm": "6"}
    answer = client.post(reverse("change-approve", args=[one.pk]), form)
    assert answer.status_code == 422
    assert not one.approvals.exists()
    mark = reverse("change-seen", args=[one.pk, key_of(one)])
    answer = client.post(mark, {"seen": "yes"}, headers=HTMX)
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<aside class="decide" id="decide"')
    assert "aria-disabled" not in answer.text
    assert client.post(reverse("change-approve", args=[one.pk]), form).status_code == 302


def test_a_mark_can_be_taken_back_and_both_are_on_the_trail(prod: Account, author: User, reviewer: User) -> None:
    one = asked(prod, author, "os_family")
    client, mark = signed_in(reviewer), reverse("change-seen", args=[one.pk, key_of(one)])
    assert client.post(mark, {"seen": "yes"})["Location"].endswith(f"#g-{key_of(one)}")
    assert SeenMark.objects.filter(change=one, reviewer=reviewer).count() == 1
    assert re.search(r'id="seen-[0-9a-f]+"[^>]* checked', page_of(one, reviewer))
    client.post(mark, {})
    assert not SeenMark.objects.exists()
    acts = AuditEvent.objects.filter(change=one).order_by("number").values_list("action", flat=True)
    assert list(acts) == ["change.group_seen", "change.group_unseen"]


def test_the_author_has_no_marks_to_give_and_a_forged_one_is_refused(prod: Account, author: User) -> None:
    one = asked(prod, author, "os_family")
    assert "change-seen" not in page_of(one, author)
    mark = reverse("change-seen", args=[one.pk, key_of(one)])
    assert mark not in page_of(one, author)
    assert signed_in(author).post(mark, {"seen": "yes"}).status_code == 403
    assert not SeenMark.objects.exists()
    assert AuditEvent.objects.get(action="person.refused").data["act"] == "mark as seen"


def test_a_mark_on_a_group_that_is_gone_is_409_with_the_sentence_in_the_box(
    prod: Account, author: User, reviewer: User
) -> None:
    one = asked(prod, author, "os_family")
    mark = reverse("change-seen", args=[one.pk, "0123456789"])
    answer = signed_in(reviewer).post(mark, {"seen": "yes"}, headers=HTMX)
    assert answer.status_code == 409
    assert "There is no such group any more" in answer.text


# --- Figures, waves, steps.


def test_the_policy_is_shown_as_waves_steps_and_rules_in_whole_numbers(
    prod: Account, author: User, reviewer: User
) -> None:
    policy = Policy(
        max_in_flight=2,
        failures_allowed=2,
        canary=1,
        hold="timed",
        hold_minutes=30,
        growth="ramp",
        wave_failures=1,
        skips_allowed=3,
        after=PolicyStep(kind="command", text="curl -fsS http://127.0.0.1/<healthz>", timeout=120),
    )
    page = page_of(asked(prod, author, policy=policy.as_json(), snapshot_days=7), reviewer)
    assert "4 of 6 lost" in page
    assert "1 if the canary fails already" in page
    assert "All 6, for 7 days" in page
    assert "holds for 30 min, then goes on by itself" in page
    assert "failure 2 in a wave" in page
    assert "skip 4 stops the change" in page
    assert "curl -fsS http://127.0.0.1/&lt;healthz&gt;" in page
    assert "120 seconds for it" in page
    rows = re.findall(r'<th scope="row">([^<]+)</th><td class="num">([^<]+)</td>', page)
    assert rows == [("canary", "1"), ("1", "1"), ("2–3", "2 × 2")]


def test_hours_are_said_with_the_last_start(prod: Account, author: User, reviewer: User) -> None:
    now = DatabaseClock().now()
    window = {"not_before": now + timedelta(hours=2), "not_after": now + timedelta(hours=6)}
    page = page_of(asked(prod, author, **window), reviewer)
    assert "last start" in page
    assert "It may not start before" in page


def test_a_password_that_was_chosen_is_said_to_be_there(prod: Account, author: User, reviewer: User) -> None:
    secret = SealedSecret.objects.create(kind="password", sealed="x", fingerprint="f00d")
    page = page_of(asked(prod, author, login=Login.PASSWORD, secret=secret), reviewer)
    assert "no password yet" not in page
    assert re.search(r"login:\s+the password", page)


def test_reason_ticket_and_rollback_plan_are_shown_as_text(prod: Account, author: User, reviewer: User) -> None:
    told = {"reason": "Old <b>system</b>", "ticket": "https://tickets.example.com/1182", "rollback_plan": "Restore"}
    page = page_of(asked(prod, author, **told), reviewer)
    assert "Old &lt;b&gt;system&lt;/b&gt;" in page
    assert 'href="https://tickets.example.com/1182" rel="noopener noreferrer"' in page
    assert "If it goes wrong" in page


# --- Discussion.


def test_a_comment_on_a_group_or_a_machine_says_so(prod: Account, author: User, reviewer: User) -> None:
    one = asked(prod, author, "os_family")
    target = one.targets.select_related("instance").first()
    assert target is not None
    client, talk = signed_in(reviewer), reverse("change-comment", args=[one.pk])
    client.post(talk, {"comment": "Why this one?", "about": key_of(one)})
    client.post(talk, {"comment": "And this?", "about": f"m{target.instance_id}"})
    assert client.post(talk, {"comment": "Gone", "about": "0123456789"}).status_code == 409
    assert [(row.group_key, row.instance_id) for row in Comment.objects.order_by("pk")] == [
        (key_of(one), None),
        ("", target.instance_id),
    ]
    page = page_of(one, reviewer)
    assert f'<span>on <a href="#g-{key_of(one)}">' in page
    assert f">{target.instance}</a></span>" in page
    begun = client.get(reverse("change", args=[one.pk]), {"about": f"m{target.instance_id}"}).text
    assert f'<option value="m{target.instance_id}" selected>{target.instance}</option>' in begun
    assert "selected" not in client.get(reverse("change", args=[one.pk]), {"about": "m999999"}).text


# --- What moved.


def test_the_first_look_has_nothing_to_compare_and_the_next_says_what_moved(
    prod: Account, author: User, reviewer: User
) -> None:
    one = asked(prod, author)
    assert 'id="since"' not in page_of(one, reviewer)
    assert 'id="since"' not in page_of(one, reviewer)
    with rules_off():
        Change.objects.filter(pk=one.pk).update(revision=2, disk_size=80)
        one.targets.filter(instance__os_name=WINDOWS).delete()
    deciding.comment(actor=author, change_id=one.pk, text="Without the Windows one.", now=DatabaseClock().now())
    page = page_of(one, reviewer)
    assert "revision 1 → 2" in page
    assert "1 machine is gone" in page
    assert "the default" in page
    assert "80 GiB" in page
    assert "1 new comment" in page
    assert 'id="since"' not in page_of(one, reviewer), "what was seen once is not said again"


def test_a_moved_plan_is_409_with_the_difference_open_and_nothing_recorded(
    prod: Account, author: User, reviewer: User
) -> None:
    one = asked(prod, author)
    client = signed_in(reviewer)
    digest = re.search(r'name="digest" value="(\w+)"', page_of(one, reviewer))
    assert digest is not None
    with rules_off():
        Change.objects.filter(pk=one.pk).update(revision=2, spec_digest="b" * 64, disk_size=80)
    answer = client.post(reverse("change-approve", args=[one.pk]), {"digest": digest[1], "confirm": "6"})
    assert answer.status_code == 409
    assert "The plan moved" in answer.text
    assert re.search(r'<details class="note since" id="since" data-s="run" open>', answer.text)
    assert '<th scope="row" class="wrap">Disk size</th><td>the default</td><td>80 GiB</td>' in answer.text
    assert not one.approvals.exists()
    assert AuditEvent.objects.get(action="person.refused").data["act"] == "approve"


def test_a_look_is_kept_of_what_was_shown_and_only_of_that(prod: Account, author: User, reviewer: User) -> None:
    one = asked(prod, author)
    page_of(one, reviewer)
    look = last_seen.last_look(reviewer, one)
    assert look is not None
    assert (look.revision, len(look.leaves)) == (1, 6)
    before = look.at
    page_of(one, reviewer)
    look.refresh_from_db()
    assert look.at == before, "written although nothing moved"


# --- Leaving machines out.


def test_machines_can_be_left_out_of_the_review_with_a_reason(prod: Account, author: User, reviewer: User) -> None:
    one = asked(prod, author, "os_family")
    client: Client = signed_in(author)
    group = reverse("change-group", args=[one.pk, key_of(one)])
    page = client.get(group).text
    pk = re.search(r'name="target" value="(\d+)"', page)
    assert pk is not None
    remove = reverse("change-remove", args=[one.pk])
    assert client.post(remove, {"target": pk[1], "reason": ""}).status_code == 422
    assert client.post(remove, {"target": pk[1], "reason": "Windows later"}).status_code == 302
    assert one.targets.count() == 5
    assert "Windows later" in page_of(one, reviewer)
