"""The review on its page: what it says, who may decide, and what a moved change answers."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from fleet.changes.review import deciding
from fleet.lib.clock import DatabaseClock, ManualClock
from fleet.models import AuditEvent, Change, ChangeState, Role, Target
from tests.support import fleets
from tests.support.emulator import Emulator
from tests.support.people import account, change, image, machine, person, signed_in
from tests.support.rules import rules_off

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def url(name: str, *args: Any) -> str:
    return reverse(name, args=args)


@pytest.fixture
def asked(fleet: Emulator, clock: ManualClock) -> Change:
    """A change of four machines in review, written by the operator."""
    return fleets.in_review(fleets.plain(4), fleets.image_named("Ubuntu 24.04"), clock)


@pytest.fixture
def reviewer(fleet: Emulator) -> Client:
    return signed_in(fleets.person("reviewer"))


def marked(asked: Change, clock: ManualClock) -> Change:
    """The reviewer has marked every group with warnings as seen."""
    fleets.mark_all(asked, clock)
    return asked


def form_of(change: Change, **other: str) -> dict[str, str]:
    return {"digest": change.spec_digest, "confirm": str(change.targets.count())} | other


def test_loss_comes_first_in_words_and_numbers(asked: Change, reviewer: Client) -> None:
    page = reviewer.get(url("change", asked.pk)).text
    assert page.index("4 machines will lose everything on their system disks") < page.index("What changes")
    assert "No snapshot is taken: nothing can be undone" in page
    assert "4 of 4 lost" in page
    assert "Each gets a new disk with Ubuntu 24.04" in page


def test_who_wrote_it_gets_no_button_and_reads_why(asked: Change, operator: Client) -> None:
    page = operator.get(url("change", asked.pk)).text
    assert url("change-approve", asked.pk) not in page
    assert "You wrote this change; somebody who had no hand in it approves it." in page


def test_a_forged_approval_by_its_author_is_403_and_on_the_trail(asked: Change, operator: Client) -> None:
    answer = operator.post(url("change-approve", asked.pk), form_of(asked))
    assert answer.status_code == 403
    assert "You had a hand in this change" in answer.text
    asked.refresh_from_db()
    assert asked.state == ChangeState.IN_REVIEW
    event = AuditEvent.objects.get(action="person.refused")
    assert (event.actor_name, event.data["act"], event.change_id) == ("operator", "approve", asked.pk)


def test_an_author_who_is_an_approver_too_is_refused_all_the_same(fleet: Emulator, clock: ManualClock) -> None:
    both = fleets.person("operator")
    both.grants.create(role=Role.APPROVER)
    asked = fleets.in_review(fleets.plain(2), fleets.image_named("Ubuntu 24.04"), clock)
    answer = signed_in(both).post(url("change-approve", asked.pk), form_of(asked))
    assert answer.status_code == 403
    assert "somebody who had none approves it" in answer.text


def test_a_wrong_number_is_422_and_nothing_is_approved(asked: Change, reviewer: Client, clock: ManualClock) -> None:
    marked(asked, clock)
    answer = reviewer.post(url("change-approve", asked.pk), form_of(asked, confirm="5"))
    assert answer.status_code == 422
    assert "4 machines lose their disk. Type 4 to confirm that." in answer.text
    assert 'name="confirm" inputmode="numeric" autocomplete="off" value="5"' in answer.text
    assert not asked.approvals.exists()


def test_a_moved_digest_is_409_with_the_sentence_on_top(asked: Change, reviewer: Client) -> None:
    answer = reviewer.post(url("change-approve", asked.pk), form_of(asked, digest="0" * 64))
    assert answer.status_code == 409
    assert "The plan moved" in answer.text
    assert answer.text.index("The plan moved") < answer.text.index("will lose everything")
    assert not asked.approvals.exists()


def test_an_approval_carries_the_digest_of_the_page(
    asked: Change, reviewer: Client, operator: Client, clock: ManualClock
) -> None:
    marked(asked, clock)
    page = reviewer.get(url("change", asked.pk)).text
    digest = re.findall(r'name="digest" value="([0-9a-f]{64})"', page)
    assert digest == [asked.spec_digest]
    assert reviewer.post(url("change-approve", asked.pk), form_of(asked)).status_code == 302
    page = operator.get(url("change", asked.pk)).text
    assert "by <b>reviewer</b>" in page
    assert "Start: replace 4 system disks" in page
    assert "Start: replace" not in reviewer.get(url("change", asked.pk)).text


@pytest.mark.parametrize("act", ["change-return", "change-reject"])
def test_sending_back_and_rejecting_need_a_reason(asked: Change, reviewer: Client, act: str) -> None:
    answer = reviewer.post(url(act, asked.pk), {"reason": " "})
    assert answer.status_code == 422
    assert "No reason is given" in answer.text
    assert "<details open>" in answer.text
    assert reviewer.post(url(act, asked.pk), {"reason": "Not on a Friday."}).status_code == 302
    asked.refresh_from_db()
    assert asked.state == (ChangeState.DRAFT if act == "change-return" else ChangeState.REJECTED)


def test_the_author_reads_on_the_draft_what_was_asked_for(asked: Change, reviewer: Client, operator: Client) -> None:
    reviewer.post(url("change-return", asked.pk), {"reason": "Say where the logs go."})
    page = operator.get(url("draft", asked.pk)).text
    assert "asked for changes on revision 1: Say where the logs go." in page


def test_a_void_approval_stays_struck_through(
    asked: Change, reviewer: Client, operator: Client, clock: ManualClock
) -> None:
    reviewer.post(url("change-approve", marked(asked, clock).pk), form_of(asked))
    assert operator.post(url("change-withdraw", asked.pk)).status_code == 302
    operator.post(url("draft-submit", asked.pk), _typed(asked))
    fleets.check_all(clock)
    page = reviewer.get(url("change", asked.pk)).text
    assert re.search(
        r"<del><b>reviewer</b> approved revision 1 .*</del> void: the change was taken back to draft", page
    )
    assert "0 of 1 approval" in page


def _typed(change: Change) -> dict[str, str]:
    return {
        "image_id": change.image_id,
        "disk_size": str(change.disk_size),
        "login": change.login,
        "key_pair": change.key_pair,
        "max_in_flight": "3",
        "failures_allowed": "0",
        "title": change.title,
        "reason": change.reason,
    }


def test_comments_decide_nothing_and_empty_ones_are_refused(asked: Change, reviewer: Client) -> None:
    assert reviewer.post(url("change-comment", asked.pk), {"comment": ""}).status_code == 422
    answer = reviewer.post(url("change-comment", asked.pk), {"comment": "Where do <b>logs</b> go?"})
    assert answer["Location"] == f"{url('change', asked.pk)}#talk"
    page = reviewer.get(url("change", asked.pk)).text
    assert "Where do &lt;b&gt;logs&lt;/b&gt; go?" in page
    asked.refresh_from_db()
    assert asked.state == ChangeState.IN_REVIEW


def test_a_group_lists_its_machines_in_place_and_as_a_page(asked: Change, reviewer: Client) -> None:
    page = reviewer.get(url("change", asked.pk)).text
    links = re.findall(rf'href="(/changes/{asked.pk}/groups/[0-9a-f]+)"', page)
    fragments = "".join(reviewer.get(link, headers=HTMX).text for link in links)
    for target in asked.targets.select_related("instance"):
        assert target.seen["disk_id"] in fragments
        assert target.seen["disk_id"] not in page
    assert "<html" not in fragments
    assert "<h1>" in reviewer.get(links[0]).text
    assert reviewer.get(f"{links[0]}?closed=1", headers=HTMX).text.strip() == ""
    assert reviewer.get(url("change-group", asked.pk, "0000000000")).status_code == 404


def test_what_all_share_is_said_once_and_what_only_some_have_stands_first() -> None:
    prod, author = account(), person("operator", Role.OPERATOR)
    image(prod)
    few = [machine(prod, number) for number in range(6)]
    one = change(author, few, image_id="ubuntu_24_04_x64", spec_digest="a" * 64)
    for number, row in enumerate(one.targets.order_by("position")):
        row.seen = {"disk_id": f"d-{number}", "size": 40 + 20 * (number % 2)}
        row.findings = [["data_disks", "warn", "x"]] + ([["os_family", "warn", "x"]] if number == 5 else [])
        with rules_off():
            row.save()
    page = signed_in(person("reviewer", Role.APPROVER)).get(url("change", one.pk)).text
    assert page.count("Has data disks") == 1
    assert "<b>All 6: Has data disks.</b>" in page
    groups = page.split('<li class="group"')[1:]
    assert len(groups) == 3
    assert "Windows and Linux change places" in groups[0]
    assert 'data-s="warn"' in groups[0].split(">")[0]


def test_who_may_not_see_the_machines_gets_404(asked: Change) -> None:
    stranger = signed_in(person("stranger", Role.APPROVER, environment="nowhere"))
    assert stranger.get(url("change", asked.pk)).status_code == 404
    assert stranger.post(url("change-approve", asked.pk), form_of(asked)).status_code == 404


def test_thousands_of_machines_cost_no_more_queries_and_no_row_each() -> None:
    prod, author = account(), person("operator", Role.OPERATOR)
    reader = signed_in(person("reviewer", Role.APPROVER))
    image(prod)

    def made(machines: int, first: int) -> Change:
        few = [machine(prod, first + number, search="x") for number in range(machines)]
        one = change(author, few, image_id="ubuntu_24_04_x64", spec_digest="a" * 64, checked_at=DatabaseClock().now())
        rows = list(one.targets.select_related("instance"))
        for number, row in enumerate(rows):
            row.seen = {
                "disk_id": f"d-{row.pk}",
                "image_id": "centos",
                "size": 40 + 20 * (number % 2),
                "status": "Running",
            }
            row.findings = [["distribution", "warn", "x"]] if number % 7 == 0 else []
        with rules_off():
            Target.objects.bulk_update(rows, ["seen", "findings"])
        deciding.comment(actor=author, change_id=one.pk, text="Hello", now=DatabaseClock().now())
        return one

    small, large = made(3, 0), made(300, 1000)
    sizes = []
    for one in (small, large):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            page = reader.get(url("change", one.pk)).text
        assert len(asked) <= 15, [query["sql"][:90] for query in asked]
        sizes.append((len(asked), page.count('class="group"')))
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] == 4
    assert "web-1250" not in page
