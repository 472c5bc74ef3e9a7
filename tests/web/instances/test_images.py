"""The list of images: which there are, which machines run them, and until when they are mended."""

import re
from typing import Any

import pytest
from django.test import Client

from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Role
from tests.support.people import CENTOS, account, image, machine, person, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def client() -> Client:
    return signed_in(person("viewer", Role.VIEWER))


def _shown(answer: Any) -> list[str]:
    return re.findall(r'<span class="id breaks">([^<]+)</span>', answer.text)


def test_an_image_of_several_regions_is_listed_once_with_all_its_machines(client: Client, prod: Account) -> None:
    image(prod), image(prod, region="cn-shanghai"), image(prod, "m-unused", owner="self", name="golden")
    machine(prod, 1), machine(prod, 2, region="cn-shanghai")
    answer = client.get("/images")
    assert _shown(answer) == ["ubuntu_24_04_x64", "m-unused"]
    assert '<a href="/instances?image=ubuntu_24_04_x64"><b>2</b>' in answer.text
    assert "cn-hangzhou, cn-shanghai" in answer.text
    assert "1 image in use" in answer.text
    assert "golden" in answer.text


def test_what_is_past_its_end_of_life_is_marked(client: Client, prod: Account) -> None:
    image(prod, "centos_7", os_name=CENTOS)
    text = client.get("/images").text
    assert '<span class="was">CentOS 7</span>' in text
    assert "30 Jun 2024" in text


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"q": "GOLD"}, ["m-golden"]),
        ({"owner": "self"}, ["m-golden"]),
        ({"os": "CentOS 7"}, ["centos_7"]),
        ({"region": "cn-shanghai"}, ["centos_7"]),
        ({"use": "used"}, ["ubuntu_24_04_x64"]),
        ({"use": "unused", "owner": "system"}, ["centos_7"]),
        ({"owner": "nobody"}, []),
    ],
)
def test_each_part_of_the_filter_narrows(
    client: Client, prod: Account, asked: dict[str, str], found: list[str]
) -> None:
    image(prod), image(prod, "m-golden", owner="self"), image(prod, "centos_7", os_name=CENTOS, region="cn-shanghai")
    machine(prod, 1)
    assert _shown(client.get("/images", asked)) == found


def test_images_that_vanished_and_those_of_other_accounts_are_not_listed(prod: Account) -> None:
    image(prod, gone_at=DatabaseClock().now()), image(account("other"), "m-theirs")
    assert _shown(signed_in(person("p", Role.VIEWER, account=prod)).get("/images")) == []
    assert _shown(signed_in(person("nobody")).get("/images")) == []


def test_only_machines_that_one_may_see_are_counted(prod: Account) -> None:
    image(prod), machine(prod, 1), machine(prod, 2, environment="dev")
    text = signed_in(person("p", Role.VIEWER, environment="dev")).get("/images").text
    assert '<a href="/instances?image=ubuntu_24_04_x64"><b>1</b>' in text


def test_pages_hold_fifty_and_keep_the_filter(client: Client, prod: Account) -> None:
    for number in range(60):
        image(prod, f"m-{number:03}", owner="self")
    assert len(_shown(client.get("/images", {"owner": "self"}))) == 50
    second = client.get("/images", {"owner": "self", "page": "2"})
    assert _shown(second) == [f"m-{number:03}" for number in range(50, 60)]
    assert "51–60 of 60" in second.text
    assert 'href="?owner=self&amp;page=1"' in second.text


def test_htmx_gets_the_results_only_and_few_queries_are_made(
    client: Client, prod: Account, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        image(prod, f"m-{number:03}"), machine(prod, number, image_id=f"m-{number:03}")
    with django_assert_max_num_queries(12):
        answer = client.get("/images", headers={"HX-Request": "true"})
    assert len(_shown(answer)) == 20
    assert "<html" not in answer.text
