"""Accounts: safe at first contact, two people for what can destroy disks, and a key that is never shown again."""

import json
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from fleet.inventory.credentials import _credential
from fleet.models import Account, AuditEvent, Role, SealedSecret, User
from tests.support.people import account, machine, person, signed_in

pytestmark = pytest.mark.django_db
SECRET = "Secret+Canary/4711"
NEW = {
    "name": "staging",
    "edition": "2026",
    "regions": "cn-hangzhou, cn-shanghai",
    "endpoint": "",
    "replace_quota": "150",
    "access_key_id": "LTAI5tExample",
    "access_key_secret": SECRET,
}


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def people(prod: Account) -> tuple[User, User]:
    return person("admin", Role.ADMIN), person("second", Role.ADMIN)


@pytest.fixture
def admin(people: tuple[User, User]) -> Client:
    return signed_in(people[0])


@pytest.fixture
def second(people: tuple[User, User]) -> Client:
    return signed_in(people[1])


def url(name: str, *args: Any) -> str:
    return reverse(name, args=args)


def does(client: Client, of: Account, what: str) -> int:
    return client.post(url("account-act", of.pk, what)).status_code


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("number").values_list("action", flat=True))


def database_holds(text: str) -> list[str]:
    found = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT count(*) FROM "{table}" AS t WHERE position(%s in t::text) > 0', [text])
            found += [table] if cursor.fetchone()[0] else []
    return found


def test_a_new_account_is_in_observe_and_its_key_is_found_nowhere(admin: Client) -> None:
    answer = admin.post(url("accounts"), NEW)
    assert answer.status_code == 302, answer.text
    made = Account.objects.get(name="staging")
    assert (made.executes, made.guard_lifted, made.regions) == (False, False, ["cn-hangzhou", "cn-shanghai"])
    opened = _credential(made)
    assert (opened.access_key_id, opened.secret.reveal()) == ("LTAI5tExample", SECRET)
    assert made.credential is not None
    page = admin.get(url("account", made.pk)).text
    assert made.credential.fingerprint in page
    assert SECRET not in page
    assert "LTAI5tExample" not in page
    assert database_holds(SECRET) == []
    event = AuditEvent.objects.get(action="account.added")
    assert event.data["credential"] == made.credential.fingerprint
    assert "in observe" in admin.get(url("accounts")).text


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"regions": "hangzhou;"}, "is no region"),
        ({"regions": " "}, "Regions is missing."),
        ({"endpoint": "https://ecs.aliyuncs.com"}, "Write the endpoint as host:port"),
        ({"replace_quota": "300"}, "enter 200 or less"),
        ({"access_key_id": "a b"}, "This is no AccessKey ID"),
        ({"access_key_secret": ""}, "AccessKey secret is missing."),
        ({"name": "prod"}, "There is an account prod already"),
        ({"edition": "1999"}, "Select a valid choice"),
    ],
)
def test_a_wrong_field_is_a_sentence_and_the_secret_is_not_sent_back(
    admin: Client, wrong: dict[str, str], says: str
) -> None:
    answer = admin.post(url("accounts"), NEW | wrong)
    assert answer.status_code == 422
    assert says in answer.text
    assert SECRET not in answer.text
    assert Account.objects.count() == 1
    assert SealedSecret.objects.count() == 0


def test_execution_needs_two_administrators(prod: Account, admin: Client, second: Client) -> None:
    refused = admin.post(url("account-act", prod.pk, "ask"))
    assert refused.status_code == 422
    assert refused.text.count("The account has no credential") == 1
    admin.post(url("account-credential", prod.pk), {"access_key_id": "a", "access_key_secret": "b"})
    assert does(second, prod, "on") == 409
    assert does(admin, prod, "ask") == 302
    assert does(admin, prod, "ask") == 409
    assert does(admin, prod, "on") == 403
    prod.refresh_from_db()
    assert not prod.executes
    assert "another administrator switches it on" in admin.get(url("account", prod.pk)).text
    assert does(second, prod, "on") == 302
    prod.refresh_from_db()
    assert prod.executes
    assert does(admin, prod, "off") == 302
    prod.refresh_from_db()
    assert (prod.executes, prod.execution_asked_by, prod.execution_on_by) == (False, None, None)
    assert [one for one in actions() if "execution" in one] == [
        "account.execution_asked",
        "account.execution_on",
        "account.execution_off",
    ]


def test_the_database_refuses_one_person_for_both(prod: Account, people: tuple[User, User]) -> None:
    with pytest.raises(IntegrityError, match="execution_four_eyes"), transaction.atomic():
        Account.objects.filter(pk=prod.pk).update(execution_asked_by=people[0], execution_on_by=people[0])


def test_the_guard_is_lifted_by_two_and_set_by_one(prod: Account, admin: Client, second: Client) -> None:
    machine(prod, 1)
    machine(prod, 2, tags={"env": "prod", "fleet-os": "allowed"})
    assert "<b>1</b> of 2 machines carries it." in admin.get(url("account", prod.pk)).text
    assert does(second, prod, "lift") == 409
    assert does(admin, prod, "ask-lift") == 302
    assert does(admin, prod, "lift") == 403
    assert does(admin, prod, "guard") == 302  # taken back
    assert does(second, prod, "lift") == 409
    assert does(admin, prod, "ask-lift") == 302
    assert does(second, prod, "lift") == 302
    prod.refresh_from_db()
    assert prod.guard_lifted
    assert does(admin, prod, "guard") == 302
    prod.refresh_from_db()
    assert not prod.guard_lifted
    assert does(second, prod, "lift") == 409  # the old wish does not count again


@pytest.mark.parametrize("moved", [{"endpoint": "127.0.0.1:9999"}, {"edition": "2018"}])
def test_another_place_or_key_switches_execution_off(prod: Account, admin: Client, moved: dict[str, str]) -> None:
    Account.objects.filter(pk=prod.pk).update(executes=True, guard_lifted=True)
    same = {
        "name": "prod",
        "edition": "2026",
        "regions": "cn-hangzhou",
        "endpoint": prod.endpoint,
        "replace_quota": "9",
    }
    assert admin.post(url("account", prod.pk), same).status_code == 302
    prod.refresh_from_db()
    assert (prod.executes, prod.guard_lifted, prod.replace_quota) == (True, True, 9)
    assert admin.post(url("account", prod.pk), same | moved).status_code == 302
    prod.refresh_from_db()
    assert not prod.executes
    assert prod.guard_lifted == ("endpoint" not in moved)


def test_a_replaced_key_is_destroyed(prod: Account, admin: Client) -> None:
    key = {"access_key_id": "first", "access_key_secret": SECRET}
    assert admin.post(url("account-credential", prod.pk), key).status_code == 302
    Account.objects.filter(pk=prod.pk).update(executes=True, guard_lifted=True)
    answer = admin.post(url("account-credential", prod.pk), key | {"access_key_secret": ""})
    assert answer.status_code == 422
    assert admin.post(url("account-credential", prod.pk), key | {"access_key_secret": "other"}).status_code == 302
    prod.refresh_from_db()
    assert (prod.executes, prod.guard_lifted) == (False, False)
    old = SealedSecret.objects.order_by("created_at")[0]
    assert (old.sealed, bool(old.destroyed_at)) == ("", True)
    assert SECRET not in json.dumps(list(AuditEvent.objects.values_list("data", flat=True)))


def test_only_administrators_of_the_account_change_it(prod: Account, people: tuple[User, User]) -> None:
    other = account("lab")
    keeper = signed_in(person("keeper", Role.ADMIN, account=other))
    operator = signed_in(person("operator", Role.OPERATOR))
    assert operator.get(url("accounts")).status_code == 200
    assert "Add an account" not in operator.get(url("accounts")).text
    assert "Ask for execution" not in operator.get(url("account", prod.pk)).text
    assert "Ask for execution" in keeper.get(url("account", other.pk)).text
    for client in (keeper, operator):
        assert client.post(url("accounts"), NEW).status_code == 403
        assert does(client, prod, "ask") == 403
        assert (
            client.post(
                url("account-credential", prod.pk), {"access_key_id": "a", "access_key_secret": "b"}
            ).status_code
            == 403
        )
    assert does(keeper, prod, "explode") == 404
    assert AuditEvent.objects.filter(action="person.refused").count() == 6
