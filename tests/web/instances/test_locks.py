"""Locks on the page of a machine, over a selection, and in the list."""

from datetime import timedelta

import pytest
from django.test import Client

from fleet.changes.drafting import locks
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, AuditEvent, Instance, MachineLock, Role, User
from tests.support.people import account, machine, person, signed_in
from tests.web.instances.choosing import Tab, shown

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod() -> Account:
    return account()


@pytest.fixture
def machines(prod: Account) -> list[Instance]:
    return [machine(prod, n) for n in range(3)]


@pytest.fixture
def operator() -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def client(operator: User) -> Client:
    return signed_in(operator)


def test_a_machine_is_locked_and_released_on_its_page(client: Client, machines: list[Instance]) -> None:
    page = f"/instances/{machines[0].pk}"
    answer = client.post(f"{page}/lock", {"act": "lock", "reason": "Holds the <ledger>", "expires_at": ""})
    assert (answer.status_code, answer["Location"]) == (302, f"{page}#lock")
    text = client.get(page).text
    assert "operator has locked this machine" in text
    assert "Holds the &lt;ledger&gt;" in text
    assert 'aria-disabled="true" aria-describedby="held"' in text
    assert client.post(f"{page}/lock", {"act": "release"}).status_code == 302
    assert "has locked this machine" not in client.get(page).text
    events = AuditEvent.objects.filter(instance=machines[0]).order_by("number").values_list("action", flat=True)
    assert list(events) == ["machine.locked", "machine.released"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"reason": " "}, "No reason is given."),
        ({"reason": "x" * 401}, "Use 400 characters or fewer."),
        ({"reason": "why", "expires_at": "2020-01-01T00:00"}, "This time has passed."),
        ({"reason": "why", "expires_at": "soon"}, "This is no time."),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(
    client: Client, machines: list[Instance], typed: dict[str, str], said: str
) -> None:
    answer = client.post(f"/instances/{machines[0].pk}/lock", {"act": "lock", **typed})
    assert answer.status_code == 422
    assert said in answer.text
    assert f'value="{typed["reason"]}"' in answer.text or not typed["reason"].strip()
    assert not MachineLock.objects.exists()


def test_a_selection_is_locked_and_released_at_once(client: Client, machines: list[Instance]) -> None:
    tab = Tab(client)
    tab.tick(*[one.pk for one in machines])
    answer = client.post("/instances", tab.form | {"act": "lock"})
    assert (answer.status_code, answer["Location"]) == (302, f"/instances/locks?selection={tab.selection}")
    assert "Lock 3 machines" in client.get(answer["Location"]).text
    typed = {"selection": tab.selection, "act": "lock", "reason": "Quarter end", "expires_at": "2999-01-01T00:00"}
    assert client.post("/instances/locks", typed).status_code == 302
    listed = client.get("/instances", {"locked": "yes"})
    assert shown(listed) == ["web-0000", "web-0001", "web-0002"]
    assert "Locked by operator" in listed.text
    assert "Locked 3 machines." in listed.text
    answer = client.post("/instances/locks", {"selection": tab.selection, "act": "release"})
    assert answer.status_code == 302
    assert shown(client.get("/instances", {"locked": "yes"})) == []


def test_a_lock_that_has_expired_is_over_everywhere(client: Client, operator: User, machines: list[Instance]) -> None:
    now = DatabaseClock().now()
    locks.lock(
        actor=operator,
        instance_pks=[machines[0].pk],
        reason="until noon",
        expires_at=now - timedelta(minutes=1),
        now=now - timedelta(hours=1),
    )
    assert "until noon" not in client.get(f"/instances/{machines[0].pk}").text
    assert shown(client.get("/instances", {"locked": "yes"})) == []


def test_who_may_not_lock_is_told_so_and_that_is_on_the_trail(prod: Account, machines: list[Instance]) -> None:
    viewer = signed_in(person("viewer", Role.VIEWER))
    answer = viewer.post(f"/instances/{machines[0].pk}/lock", {"act": "lock", "reason": "mine"})
    assert answer.status_code == 403
    assert "Locking needs the role operator or admin" in answer.text
    assert AuditEvent.objects.latest("number").action == "person.refused"
    assert viewer.get("/instances/locks").status_code == 403
    outside = signed_in(person("dev", Role.OPERATOR, environment="dev"))
    assert outside.post(f"/instances/{machines[0].pk}/lock", {"act": "lock", "reason": "x"}).status_code == 404
    assert not MachineLock.objects.exists()


def test_the_lock_of_another_is_not_released(client: Client, machines: list[Instance]) -> None:
    now, other = DatabaseClock().now(), person("other", Role.OPERATOR)
    locks.lock(actor=other, instance_pks=[machines[0].pk], reason="theirs", expires_at=None, now=now)
    page = f"/instances/{machines[0].pk}"
    assert "other or an administrator can release it." in client.get(page).text
    answer = client.post(f"{page}/lock", {"act": "release"})
    assert answer.status_code == 403
    assert "1 lock belongs to other." in answer.text


def test_a_locked_machine_is_left_out_of_a_draft_with_the_words_of_the_lock(
    client: Client, operator: User, machines: list[Instance]
) -> None:
    locks.lock(
        actor=operator, instance_pks=[machines[0].pk], reason="migration.", expires_at=None, now=DatabaseClock().now()
    )
    tab = Tab(client)
    tab.tick(*[one.pk for one in machines])
    assert tab.change().status_code == 302
    made = operator.changes.get()
    assert made.targets.count() == 2
    assert list(made.left_out.values_list("code", "reason")) == [("locked", "Locked by operator: migration")]


@pytest.mark.parametrize(
    ("before", "said"), [(1, "1 lock that was there stays as it is."), (2, "2 locks that were there stay as they are.")]
)
def test_locks_that_were_there_are_told_of(
    client: Client, operator: User, machines: list[Instance], before: int, said: str
) -> None:
    pks, now = [one.pk for one in machines], DatabaseClock().now()
    locks.lock(actor=operator, instance_pks=pks[:before], reason="mine", expires_at=None, now=now)
    tab = Tab(client)
    tab.tick(*pks)
    client.post("/instances/locks", {"selection": tab.selection, "act": "lock", "reason": "Quarter end"})
    assert said in client.get("/instances").text
