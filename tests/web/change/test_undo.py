"""The undo ledger: what can be put back until when, and the draft that does it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Change, Instance, Role, Snapshot, SystemDisk, User
from tests.support.people import account, change, machine, person, replacement, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def author(prod: Account) -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def operator(author: User) -> Client:
    return signed_in(author)


@pytest.fixture
def done(prod: Account, author: User) -> Change:
    """A finished change of three, with a snapshot of each; the third one's has expired."""
    machines = [machine(prod, number) for number in range(3)]
    made = change(author, machines, state="finished", started_at=DatabaseClock().now(), snapshot_days=7)
    for one, days in zip(machines, (7, 3, -1), strict=True):
        kept(made, one, days)
    return made


def kept(of: Change, one: Instance, days: int, **fields: Any) -> Snapshot:
    now = DatabaseClock().now()
    row = replacement(of, one, "done", "succeeded", new_disk_id=f"d-new{one.pk}", first_sent_at=now, token=f"t{one.pk}")
    values = {
        "snapshot_id": f"s-{one.pk}",
        "disk_id": one.disk_id,
        "size": 40,
        "os_type": "linux",
        "os_name": one.os_name,
        "ready_at": now,
        "created_at": now,
        "expires_at": now + timedelta(days=days),
    } | fields
    return Snapshot.objects.create(account=one.account, region=one.region, instance=one, replacement=row, **values)


def url() -> str:
    return reverse("undo")


def test_the_ledger_is_by_change_and_by_machine_the_soonest_first(done: Change, operator: Client) -> None:
    page = operator.get(url()).text
    assert f"#{done.pk} {done.title}" in page
    assert '<td class="num">2</td>' in page
    page = operator.get(url(), {"change": done.pk}).text
    assert page.index("web-0001") < page.index("web-0000")
    assert "web-0002" not in page
    assert "Undo these" in page


def test_the_page_of_a_machine_leads_to_what_can_be_put_back(done: Change, operator: Client) -> None:
    SystemDisk.objects.filter(instance__name__in=["web-0000", "web-0002"]).update(gone_at=DatabaseClock().now())
    put_back = f'<a href="{url()}?change={done.pk}">can be put back</a>'

    pages = [operator.get(reverse("instance", args=[row.instance_id])).text for row in done.replacements.order_by("pk")]
    assert [put_back in page for page in pages] == [True, False, False]


def test_some_are_undone_by_a_draft_that_goes_the_ordinary_way(done: Change, operator: Client) -> None:
    row = done.replacements.get(instance__name="web-0000")
    answer = operator.post(url(), {"change": done.pk, "replacement": [row.pk]})
    draft = Change.objects.get(undoes=done)
    assert answer["Location"] == reverse("draft", args=[draft.pk])
    assert [(one.instance_id, one.snapshot_id) for one in draft.targets.all()] == [
        (row.instance_id, f"s-{row.instance_id}")
    ]
    assert draft.state == "draft"
    assert operator.post(url(), {"change": done.pk, "all": "yes"}).status_code == 302
    assert Change.objects.filter(undoes=done).order_by("-pk")[0].targets.count() == 2


def test_nothing_chosen_or_expired_meanwhile_is_said_and_keeps_the_ticks(done: Change, operator: Client) -> None:
    answer = operator.post(url(), {"change": done.pk})
    assert answer.status_code == 422
    assert "No machine is selected" in answer.text
    good, expired = (done.replacements.get(instance__name=name) for name in ("web-0000", "web-0002"))
    answer = operator.post(url(), {"change": done.pk, "replacement": [good.pk, expired.pk]})
    assert answer.status_code == 409
    assert f'value="{good.pk}" aria-label="Select web-0000" checked' in answer.text
    assert operator.post(url(), {}).status_code == 404
    assert operator.get(url(), {"change": "999999"}).status_code == 404
    assert operator.get(url(), {"change": "x"}).status_code == 404


def test_who_may_see_only_some_machines_sees_those_and_drafts_nothing_without_the_role(
    done: Change, prod: Account
) -> None:
    auditor = signed_in(person("auditor", Role.AUDITOR))
    page = auditor.get(url(), {"change": done.pk}).text
    assert "web-0001" in page
    assert "Undo these" not in page
    row = done.replacements.get(instance__name="web-0000")
    assert auditor.post(url(), {"change": done.pk, "replacement": [row.pk]}).status_code == 403
    lab = signed_in(person("lab", Role.OPERATOR, environment="lab"))
    assert lab.get(url(), {"change": done.pk}).status_code == 404
    assert "Nothing can be undone" in lab.get(url()).text


def test_the_run_leads_to_it_where_snapshots_were_taken(done: Change, operator: Client) -> None:
    assert f"{url()}?change={done.pk}" in operator.get(reverse("change", args=[done.pk])).text
    assert operator.get(f"{url()}?change={done.pk}&page=9").status_code == 200


def test_the_draft_of_an_undo_says_what_becomes_of_each_machine_and_asks_for_no_image(
    done: Change, operator: Client
) -> None:
    Instance.objects.update(tags={"fleet-os": "allowed"})
    done.targets.update(open=False)
    operator.post(url(), {"change": done.pk, "all": "yes"})
    undo = Change.objects.get(undoes=done)
    page = operator.get(reverse("draft", args=[undo.pk])).text
    assert "Choose an image" not in page
    assert 'name="image_id"' not in page
    assert f'before <a href="{reverse("change", args=[done.pk])}">#{done.pk}</a>' in page
    assert 'aria-label="Of 2 machines' in page
    assert "Still to come: a reason." in page
    live = operator.post(reverse("draft-follows", args=[undo.pk]), {"login": "image"}, headers={"HX-Request": "true"})
    assert 'aria-label="Of 2 machines' in live.text
    viewer = signed_in(person("viewer", Role.VIEWER))
    assert "the system from before" in viewer.get(reverse("change", args=[undo.pk])).text
