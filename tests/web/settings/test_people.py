"""People: who may do what is an administrator's to say, never one's own; a password is its owner's alone."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from fleet.models import Account, AuditEvent, Grant, Role, User
from tests.support.people import account, person, signed_in

pytestmark = pytest.mark.django_db
PASSWORD = "a long and own password"
NEW = {"name": "night-shift", "email": "", "role": "operator", "account": "", "environment": "prod"}


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def chief(prod: Account) -> User:
    return person("admin", Role.ADMIN)


@pytest.fixture
def admin(chief: User) -> Client:
    return signed_in(chief)


@pytest.fixture
def operator(prod: Account) -> User:
    return person("operator", Role.OPERATOR)


def url(name: str, *args: Any) -> str:
    return reverse(name, args=args)


def code_of(answer: Any) -> str:
    return str(re.findall(r"<code>([^<]+)</code>", answer.text)[0])


def choose(client: Client, **changed: str) -> Any:
    typed = {"name": "night-shift", "code": "", "password": PASSWORD, "again": PASSWORD}
    return client.post(url("choose-password"), typed | changed)


def test_a_new_person_chooses_a_password_with_a_code_that_works_once(admin: Client) -> None:
    answer = admin.post(url("people"), NEW)
    made = User.objects.get(username="night-shift")
    assert answer["Location"] == url("person", made.pk)
    assert not made.has_usable_password()
    assert "Operator, environment prod" in admin.get(url("person", made.pk)).text
    code = code_of(admin.post(url("person-invite", made.pk)))
    assert code not in admin.get(url("person", made.pk)).text
    nobody = Client()
    assert choose(nobody, code="0" + code).status_code == 422
    assert choose(nobody, code=code, name="admin").status_code == 422
    short = choose(nobody, code=code, password="short", again="short")
    assert short.status_code == 422
    assert "too short" in short.text
    assert "differ" in choose(nobody, code=code, again="another one here").text
    assert choose(nobody, code=code)["Location"] == url("sign-in")
    assert choose(nobody, code=code).status_code == 422
    made.refresh_from_db()
    assert made.check_password(PASSWORD)
    told = list(AuditEvent.objects.values_list("action", "data"))
    assert {"person.added", "person.invited", "person.password_set"} <= {action for action, _ in told}
    assert code not in str(told)
    assert PASSWORD not in str(told)


def test_roles_are_granted_and_taken_away(admin: Client, operator: User, prod: Account) -> None:
    given = {"role": "approver", "account": str(prod.pk), "environment": ""}
    assert admin.post(url("person", operator.pk), given).status_code == 302
    held = Grant.objects.get(user=operator, role=Role.APPROVER)
    assert held.account == prod
    again = admin.post(url("person", operator.pk), given)
    assert again.status_code == 422
    assert "has this role already" in again.text
    assert admin.post(url("person-act", operator.pk, "revoke"), {"grant": held.pk}).status_code == 302
    assert admin.post(url("person-act", operator.pk, "revoke"), {"grant": held.pk}).status_code == 409
    assert admin.post(url("person-act", operator.pk, "revoke"), {"grant": "x"}).status_code == 409
    events = AuditEvent.objects.filter(action__in=("person.granted", "person.revoked")).order_by("number")
    assert [one.subject for one in events] == ["operator: approver, account prod"] * 2


def test_nobody_changes_their_own_grants(admin: Client, chief: User) -> None:
    own = chief.grants.get()
    for name, args, data in (
        ("person", (), {"role": "approver", "account": "", "environment": ""}),
        ("person-act", ("revoke",), {"grant": own.pk}),
        ("person-act", ("deactivate",), {}),
        ("person-invite", (), {}),
    ):
        answer = admin.post(url(name, chief.pk, *args), data)
        assert answer.status_code == 403, name
        assert "Nobody changes what they may do themselves" in answer.text
    assert list(chief.grants.all()) == [own]
    assert "Grant it" not in admin.get(url("person", chief.pk)).text


def test_who_is_deactivated_is_out_at_once(admin: Client, operator: User) -> None:
    client = signed_in(operator)
    assert client.get(url("accounts")).status_code == 200
    assert admin.post(url("person-act", operator.pk, "deactivate")).status_code == 302
    assert client.get(url("accounts")).status_code == 302
    assert admin.post(url("person-invite", operator.pk)).status_code == 409
    assert admin.post(url("person-act", operator.pk, "activate")).status_code == 302
    assert admin.post(url("person-act", operator.pk, "explode")).status_code == 404


def test_only_administrators_see_and_change_people(operator: User, chief: User, prod: Account) -> None:
    client = signed_in(operator)
    for name, args in (("people", ()), ("person", (chief.pk,))):
        answer = client.get(url(name, *args))
        assert answer.status_code == 403
        assert "for administrators" in answer.text
        assert "admin</a>" not in answer.text
    assert client.post(url("people"), NEW).status_code == 403
    assert client.post(url("person", chief.pk), {"role": "admin", "account": "", "environment": ""}).status_code == 403
    assert client.post(url("person-act", chief.pk, "deactivate")).status_code == 403
    assert client.post(url("person-invite", chief.pk)).status_code == 403
    assert "<code>" not in client.post(url("person-invite", chief.pk)).text
    keeper = signed_in(person("keeper", Role.ADMIN, account=prod))
    give = {"role": "viewer", "environment": ""}
    assert keeper.post(url("person", operator.pk), give | {"account": str(prod.pk)}).status_code == 302
    assert keeper.post(url("person", operator.pk), give | {"account": ""}).status_code == 403
    assert keeper.post(url("people"), NEW).status_code == 403


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "a b"}, "Write the name with letters"),
        ({"name": "ADMIN"}, "There is a person ADMIN already"),
        ({"email": "x@"}, "This is no e-mail address"),
        ({"role": "king"}, "Select a valid choice"),
        ({"account": "99999"}, "none of the choices"),
    ],
)
def test_a_wrong_field_is_a_sentence(admin: Client, wrong: dict[str, str], says: str) -> None:
    answer = admin.post(url("people"), NEW | wrong)
    assert answer.status_code == 422
    assert says in answer.text
    assert User.objects.count() == 1
