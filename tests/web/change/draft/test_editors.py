"""Two who edit one draft: the second is told of the first, keeps what they typed, and decides."""

import re
from typing import Any

import pytest
from django.test import Client

from fleet.models import Change, ChangeState, Image, Role
from tests.support.people import person, signed_in
from tests.web.change.drafts import GOOD, live, typed, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(draft: Change) -> Client:
    return signed_in(person("colleague", Role.OPERATOR))


def seen_on(page: Any) -> str:
    """Return what the page will say that it showed."""
    [seen] = re.findall(r'<input type="hidden" name="seen" value="([^"]+)">', page.text)
    return str(seen)


@pytest.mark.parametrize("press", ["draft", "draft-submit"])
def test_the_second_of_two_editors_is_told_of_the_first_and_may_save_over_it(
    operator: Client, other: Client, draft: Change, ubuntu: Image, press: str
) -> None:
    seen = seen_on(operator.get(url("draft", draft.pk)))
    assert seen_on(other.get(url("draft", draft.pk))) == seen
    assert other.post(url("draft", draft.pk), typed(ubuntu, title="Theirs", seen=seen)).status_code == 302

    mine = typed(ubuntu, title="Mine", disk_size="80", seen=seen)
    answer = operator.post(url(press, draft.pk), mine)
    assert answer.status_code == 409
    assert "This draft was edited by colleague on" in answer.text
    assert 'value="Mine"' in answer.text
    assert 'value="80"' in answer.text
    draft.refresh_from_db()
    assert (draft.title, draft.disk_size, draft.state) == ("Theirs", 60, ChangeState.DRAFT)

    again = operator.post(url(press, draft.pk), mine | {"seen": seen_on(answer)})
    draft.refresh_from_db()
    assert again.status_code == 302
    assert (draft.title, draft.disk_size) == ("Mine", 80)
    assert draft.state == (ChangeState.CHECKING if press == "draft-submit" else ChangeState.DRAFT)


def test_a_page_that_answers_a_fault_still_speaks_of_what_it_showed_first(
    operator: Client, other: Client, draft: Change, ubuntu: Image
) -> None:
    seen = seen_on(operator.get(url("draft", draft.pk)))
    other.post(url("draft", draft.pk), typed(ubuntu, title="Theirs"))
    faulty = operator.post(url("draft", draft.pk), typed(ubuntu, disk_size="many", seen=seen))
    assert (faulty.status_code, seen_on(faulty)) == (422, seen)
    assert operator.post(url("draft", draft.pk), typed(ubuntu, title="Mine", seen=seen)).status_code == 409


def test_leaving_machines_out_does_not_save_over_another_edit_either(
    operator: Client, other: Client, draft: Change, ubuntu: Image
) -> None:
    seen = seen_on(operator.get(url("draft", draft.pk)))
    other.post(url("draft", draft.pk), typed(ubuntu, title="Theirs"))
    press = {"target": str(draft.targets.all()[0].pk), "seen": seen}
    assert operator.post(url("draft-leave-out", draft.pk), typed(ubuntu, title="Mine") | press).status_code == 409
    draft.refresh_from_db()
    assert (draft.title, draft.targets.count()) == ("Theirs", 3)


def test_what_changes_nothing_is_no_conflict_nor_is_a_form_that_says_nothing_of_it(
    operator: Client, other: Client, draft: Change, ubuntu: Image
) -> None:
    seen = seen_on(operator.get(url("draft", draft.pk)))
    form = typed(ubuntu)
    for _ in range(2):  # as by a double click
        assert operator.post(url("draft", draft.pk), form | {"seen": seen}).status_code == 302
    assert other.post(url("draft", draft.pk), form | {"title": "API"}).status_code == 302
    assert other.post(url("draft", draft.pk), form | {"title": "Old", "seen": "yesterday"}).status_code == 302
    assert live(operator, draft, "title", form | {"seen": seen}).status_code == 200


def test_a_password_typed_in_vain_is_asked_for_again(
    operator: Client, other: Client, draft: Change, ubuntu: Image
) -> None:
    seen = seen_on(operator.get(url("draft", draft.pk)))
    other.post(url("draft", draft.pk), typed(ubuntu, title="Theirs"))
    answer = operator.post(url("draft", draft.pk), typed(ubuntu, login="password", password=GOOD, seen=seen))
    assert answer.status_code == 409
    assert "Type it again." in answer.text
    assert GOOD not in answer.text
    draft.refresh_from_db()
    assert draft.secret is None
