"""One machine's page: facts, disks through time, changes; who may see it."""

import pytest
from django.test import Client
from django.urls import reverse

from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Role, SystemDisk, User
from tests.support.people import CENTOS, account, change, image, machine, person, replacement, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def operator() -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def client(operator: User) -> Client:
    return signed_in(operator)


def test_the_page_of_a_machine_tells_its_facts_disks_and_changes(client: Client, operator: User, prod: Account) -> None:
    one = machine(prod, 1, os_name=CENTOS, image_id="centos_7", locks=["security"])
    machine(prod, 2, os_name=CENTOS)
    image(prod, "centos_7", name="our CentOS", os_name=CENTOS)
    old = one.disks.get()
    SystemDisk.objects.filter(pk=old.pk).update(gone_at=DatabaseClock().now(), disk_id="d-before")
    SystemDisk.objects.create(
        instance=one, disk_id=one.disk_id, image_id="centos_7", os_name=CENTOS, size=60, first_seen_at=old.first_seen_at
    )
    made = change(operator, [one], state="finished")
    replacement(made, one, "done", "succeeded", new_disk_id=one.disk_id)
    text = client.get(f"/instances/{one.pk}").text
    for said in (
        "CentOS 7 is past its end of life",
        "1 other runs",
        "2 disks, newest first",
        "Destroyed",
        "In use",
        "d-before",
        "our CentOS",
        "Succeeded",
        "env = prod",
        "cannot be replaced until the lock is lifted",
    ):
        assert said in text, said
    assert f'by <a href="{reverse("change", args=[made.pk])}">#{made.pk}</a>' in text


def test_a_machine_in_an_open_change_says_why_the_button_is_off(client: Client, operator: User, prod: Account) -> None:
    one = machine(prod, 1)
    assert '<button class="btn primary">Change OS</button>' in client.get(f"/instances/{one.pk}").text
    change(operator, [one])
    text = client.get(f"/instances/{one.pk}").text
    assert 'aria-disabled="true" aria-describedby="taken"' in text
    assert "It is in an open change" in text


def test_a_machine_outside_ones_scope_is_not_there(prod: Account) -> None:
    one = machine(prod, 1)
    assert signed_in(person("dev", Role.VIEWER, environment="dev")).get(f"/instances/{one.pk}").status_code == 404


def test_a_machine_that_vanished_keeps_its_page(client: Client, prod: Account) -> None:
    one = machine(prod, 1, gone_at=DatabaseClock().now())
    text = client.get(f"/instances/{one.pk}").text
    assert "This machine is gone from the cloud" in text
    assert "Change OS" not in text


def test_a_name_from_the_cloud_is_text_and_never_markup(client: Client, prod: Account) -> None:
    one = machine(prod, 1, name="<script>alert(1)</script>", tags={"<b>": "<i>"})
    for address in ("/instances", f"/instances/{one.pk}"):
        text = client.get(address).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text
