"""Submitting a draft: passwords that nobody sees again, everything said at once, and nothing lost by a refusal."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from fleet.lib.clock import ManualClock
from fleet.lib.secret import unseal
from fleet.models import AuditEvent, Change, ChangeState, Image, SealedSecret
from tests.support import fleets
from tests.support.emulator import Emulator
from tests.web.change.drafts import GOOD, drafted, typed, url

pytestmark = pytest.mark.django_db


# --- The password.


def test_a_password_is_sealed_at_once_and_never_shown(operator: Client, draft: Change, ubuntu: Image) -> None:
    form = typed(ubuntu, login="password", password=GOOD, title="")
    answer = operator.post(url("draft-submit", draft.pk), form)
    assert answer.status_code == 422
    assert "There is no title yet." in answer.text
    draft.refresh_from_db()
    assert draft.secret is not None
    assert unseal(draft.secret.sealed, row_id=str(draft.secret.pk)).reveal() == GOOD
    page = operator.get(url("draft", draft.pk)).text
    assert f"fingerprint <code>{draft.secret.fingerprint[:8]}" in page
    for text in (answer.text, page):
        assert GOOD not in text
    answer = operator.post(url("draft-submit", draft.pk), typed(ubuntu, login="password"))
    assert answer.status_code == 302, answer.text
    assert not any(GOOD in str(event.data) for event in AuditEvent.objects.all())


def test_a_weak_password_is_refused_and_not_kept(operator: Client, draft: Change, ubuntu: Image) -> None:
    answer = operator.post(url("draft-submit", draft.pk), typed(ubuntu, login="password", password="weakpass"))
    assert answer.status_code == 422
    assert "InvalidPassword.Malformed" in answer.text
    assert "weakpass" not in answer.text
    assert not SealedSecret.objects.filter(kind="password").exists()
    draft.refresh_from_db()
    assert (draft.state, draft.title) == (ChangeState.DRAFT, "")
    assert 'value="Three to Ubuntu 24.04"' in answer.text


def test_a_sealed_password_can_be_forgotten(operator: Client, draft: Change, ubuntu: Image) -> None:
    operator.post(url("draft", draft.pk), typed(ubuntu, login="password", password=GOOD))
    operator.post(url("draft", draft.pk), typed(ubuntu, forget_password="on"))
    draft.refresh_from_db()
    assert draft.secret is None
    assert SealedSecret.objects.get(kind="password").sealed == ""


@pytest.mark.parametrize(
    ("meta", "allowed"),
    [
        ({}, True),
        ({"HTTP_HOST": "localhost", "REMOTE_ADDR": "10.0.0.9"}, True),
        ({"REMOTE_ADDR": "10.0.0.9"}, False),
        ({"HTTP_X_FORWARDED_FOR": "10.0.0.9"}, False),
        ({"REMOTE_ADDR": "10.0.0.9", "wsgi.url_scheme": "https"}, True),
        ({"HTTP_HOST": "localhost.corp.example", "REMOTE_ADDR": "10.0.0.9"}, False),
        ({"HTTP_HOST": "127.0.0.1.nip.io:8000", "REMOTE_ADDR": "10.0.0.9"}, False),
    ],
)
def test_no_password_travels_over_plain_http(
    operator: Client, draft: Change, ubuntu: Image, settings: Any, meta: dict[str, Any], allowed: bool
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    form = typed(ubuntu, login="password", password=GOOD)
    page = operator.get(url("draft", draft.pk), **meta).text
    assert ("This page came over plain HTTP" in page) is not allowed
    operator.post(url("draft", draft.pk), form, **meta)
    assert SealedSecret.objects.filter(kind="password").exists() is allowed


# --- Submitting.


def test_everything_that_stands_in_the_way_is_said_at_once(operator: Client, draft: Change, ubuntu: Image) -> None:
    form = typed(ubuntu, disk_size="30", title="", max_in_flight="x")
    answer = operator.post(url("draft-submit", draft.pk), form)
    assert answer.status_code == 422
    summary = re.search(r'role="alert".*?</ul>', answer.text, re.DOTALL)
    assert summary
    for words in ("Nothing was submitted", "cannot shrink", "There is no title yet", "no whole number"):
        assert words in summary[0]
    assert 'value="30"' in answer.text
    assert "Out of support." in answer.text


def test_two_who_submit_the_same_machine_one_is_told_who_was_faster(
    operator: Client, draft: Change, ubuntu: Image
) -> None:
    other = drafted([target.instance for target in draft.targets.select_related("instance")])
    assert operator.post(url("draft-submit", draft.pk), typed(ubuntu)).status_code == 302
    answer = operator.post(url("draft-submit", other.pk), typed(ubuntu, title="Second"))
    assert answer.status_code == 422
    assert f"In another open change, #{draft.pk}" in answer.text
    assert 'value="Second"' in answer.text


def test_an_image_that_vanished_comes_back_as_a_note_on_the_draft(
    operator: Client, draft: Change, ubuntu: Image, fleet: Emulator
) -> None:
    operator.post(url("draft-submit", draft.pk), typed(ubuntu))
    fleet.delete_image(ubuntu.image_id)
    fleets.check_all(ManualClock(datetime.now(UTC) + timedelta(seconds=30)))
    answer = operator.get(url("change", draft.pk))
    assert answer["Location"] == url("draft", draft.pk)
    page = operator.get(url("draft", draft.pk)).text
    assert "The check did not pass for any of the 3 machines" in page
    assert 'value="Three to Ubuntu 24.04"' in page


def test_a_draft_that_was_submitted_meanwhile_answers_409_with_what_was_typed(
    operator: Client, draft: Change, ubuntu: Image
) -> None:
    operator.post(url("draft-submit", draft.pk), typed(ubuntu))
    answer = operator.post(url("draft", draft.pk), typed(ubuntu, title="Typed in another tab"))
    assert answer.status_code == 409
    assert "no longer a draft" in answer.text
    assert 'value="Typed in another tab"' in answer.text
