"""The images that a draft offers: those that can be used, and how many of its machines each fits."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.changes.judging.judgement import judge_draft
from fleet.changes.judging.machine import disk_request_of
from fleet.guards.policy import Policy
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Change, ChangeState, Image, KeyPair, Role, User
from fleet.web.change.draft.images import Picker, picker
from tests.support.people import account, change, image, machine, person, signed_in
from tests.web.change.drafts import HTMX, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod() -> Account:
    prod = account()
    KeyPair.objects.create(account=prod, region="cn-hangzhou", name="ops", seen_at=DatabaseClock().now())
    return prod


@pytest.fixture
def author(prod: Account) -> User:
    return person("operator", Role.OPERATOR)


def draft_of(author: User, prod: Account, *machines: dict[str, Any], **fields: Any) -> Change:
    tags = {"fleet-os": "allowed"}
    made = [machine(prod, number, **({"tags": tags} | given)) for number, given in enumerate(machines)]
    settings = {"login": "key_pair", "key_pair": "ops", "title": "t", "reason": "r", "policy": Policy().as_json()}
    return change(author, made, state="draft", **(settings | fields))


def offered(draft: Change, chosen: str = "") -> Picker:
    now = DatabaseClock().now()
    judgement = judge_draft(change=draft, disk_request=disk_request_of(draft), now=now)
    return picker(alike_machines=judgement.alike_machines, q="", chosen=chosen, today=now.date())


def test_a_deprecated_image_stays_as_long_as_it_is_chosen_and_is_offered_to_nobody_else(
    author: User, prod: Account
) -> None:
    image(prod, status="Deprecated")
    image(prod, "debian", os_name="Debian 12.5 64 bit")
    draft = draft_of(author, prod, {}, image_id="ubuntu_24_04_x64")
    client = signed_in(author)
    page = client.get(url("draft", draft.pk)).text
    assert 'value="ubuntu_24_04_x64" checked' in page
    assert "deprecated" in page
    searched = client.get(url("draft-images", draft.pk), {"q": "debian", "image_id": "ubuntu_24_04_x64"}, headers=HTMX)
    assert 'value="ubuntu_24_04_x64" checked' in searched.text
    assert [one.image_id for one in offered(draft, chosen="debian").choices] == ["debian"]

    form = {"image_id": "ubuntu_24_04_x64", "login": "key_pair", "key_pair": "ops", "disk_size": ""}
    limits = {"max_in_flight": "5", "failures_allowed": "0"}
    answer = client.post(url("draft-submit", draft.pk), form | limits | {"title": "t", "reason": "r"})
    draft.refresh_from_db()
    assert (answer.status_code, draft.state) == (302, ChangeState.CHECKING)


def test_what_was_chosen_by_hand_and_is_deprecated_since_is_not_called_gone(author: User, prod: Account) -> None:
    image(prod, "m-1", owner="self", name="golden")
    image(prod, "m-2", region="cn-shanghai", owner="self", name="silver", status="Deprecated")
    images = {f"{prod.pk}/cn-shanghai": ["m-2", "chosen"]}
    draft = draft_of(author, prod, {}, {"region": "cn-shanghai"}, image_id="m-1", images=images)
    page = signed_in(author).get(url("draft", draft.pk)).text
    assert "m-2, deprecated" in page
    assert "no longer there" not in page


@pytest.mark.parametrize(
    ("of_image", "architecture", "fits"),
    [("i386", "x86_64", 1), ("x86_64", "x86_64", 1), ("arm64", "x86_64", 0), ("i386", "arm64", 0), ("arm64", "", 1)],
)
def test_an_image_fits_where_the_rule_lets_it_run(
    author: User, prod: Account, of_image: str, architecture: str, fits: int
) -> None:
    image(prod, architecture=of_image)
    draft = draft_of(author, prod, {"architecture": architecture}, image_id="ubuntu_24_04_x64")
    assert [one.fits for one in offered(draft).choices] == [fits]
    judgement = judge_draft(change=draft, disk_request=disk_request_of(draft), now=DatabaseClock().now())
    assert judgement.total - judgement.blocked == fits


def test_the_fit_counts_types_without_loading_all_that_each_image_supports(author: User, prod: Account) -> None:
    many = [f"ecs.other{number}.large" for number in range(600)]
    for name, types in {"all": None, "one": [*many, "ecs.g7.large"], "none": many, "empty": []}.items():
        image(prod, name, os_name=f"{name} 1", supported_types=types)
    draft = draft_of(author, prod, {}, {"instance_type": "ecs.c6.large"})
    with CaptureQueriesContext(connection) as queries:
        fits = {one.image_id: one.fits for one in offered(draft).choices}
    assert fits == {"all": 2, "one": 1, "none": 0, "empty": 0}
    [asked] = [query["sql"] for query in queries if f'FROM "{Image._meta.db_table}"' in query["sql"]]
    assert '"supported_types",' not in asked
