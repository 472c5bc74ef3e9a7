"""Hostile forms, to drafts and to the choosing of machines: each gets a sentence, and what is refused changes nothing.

2,000 submissions in the suite; `manage.py torture forms` sends 100,000.
"""

import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from fleet.changes.drafting import drafts
from fleet.changes.drafting.drafts import Settings
from fleet.guards.policy import Policy, PolicyStep
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Change, ChangeState, Instance, KeyPair, Role, User
from tests.support.people import account, change, image, machine, person
from tests.support.torture import rounds, seed
from tests.torture.hostile import CANARY, Dealer, Place, Submission, submission

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
PARTS = 8
ANSWERS = {200, 204, 302, 303, 400, 401, 403, 404, 405, 409, 413, 422}
REFUSALS = {400, 401, 403, 404, 405, 409, 413, 422}
# All that a person's act can change. The trail is left out, since it keeps refusals, and so are sessions.
TABLES = (
    "account", "instance", "image", "keypair", "change", "target", "leftout", "contributor", "approval", "comment",
    "sealedsecret", "machinelock", "selection", "savedview", "replacement", "grant", "user", "calendar", "webhook",
)  # fmt: skip


class World:
    """Two accounts with their people, and changes in several states; every case begins in the same one."""

    def __init__(self) -> None:
        self.mine, self.theirs = self._account("prod"), self._account("other")
        self.people = {
            "operator": person("operator", Role.OPERATOR, account=self.mine),
            "colleague": person("colleague", Role.OPERATOR, account=self.mine),
            "stranger": person("stranger", Role.OPERATOR, account=self.theirs),
            "reviewer": person("reviewer", Role.APPROVER, account=self.mine),
            "nobody": person("nobody"),
        }
        image(self.mine)
        self.clients = {name: Client(raise_request_exception=True) for name in (*self.people, "anonymous")}
        for name, user in self.people.items():
            self.clients[name].force_login(user)
        machines = [machine(self.mine, n, architecture="x86_64", **self._odd(n)) for n in range(12)]
        others = [machine(self.theirs, n, architecture="x86_64") for n in range(4)]
        KeyPair.objects.create(account=self.mine, region="cn-hangzhou", name="ops", seen_at=DatabaseClock().now())
        self.draft = self._draft("operator", machines[:6])
        self.foreign = self._draft("stranger", others[:2])
        self.submitted = change(self.people["operator"], machines[6:8])
        self.approved = change(self.people["colleague"], machines[8:10], state=ChangeState.APPROVED)
        self.gone = change(self.people["operator"], machines[10:11], state=ChangeState.CANCELLED)
        mine = [self.draft, self.submitted, self.approved, self.gone]
        self.others = {name: [*mine, self.foreign] for name in self.clients}
        self.others |= {"operator": [self.foreign], "colleague": [self.foreign], "stranger": mine}
        rows: list[Any] = [
            *machines,
            *others,
            *self.draft.targets.all(),
            *self.foreign.targets.all(),
            *Change.objects.all(),
        ]
        self.ids = [str(row.pk) for row in rows] + [str(uuid.UUID(int=7)), others[0].instance_id, "ubuntu_24_04_x64"]
        self.places = self._places(machines, others)

    def _account(self, name: str) -> Account:
        made = account(name, regions=("cn-hangzhou",))
        made.guard_lifted = True
        made.save()
        return made

    def _odd(self, number: int) -> dict[str, Any]:
        odd: dict[int, dict[str, Any]] = {1: {"locks": ["security"]}, 2: {"disk_size": 100}, 3: {"status": "Pending"}}
        return odd.get(number, {})

    def _draft(self, author: str, machines: list[Instance]) -> Change:
        made = drafts.create_draft(
            actor=self.people[author], instance_pks=[one.pk for one in machines], now=DatabaseClock().now()
        )
        settings = Settings(
            title="Kept", reason="Kept", image_id="", disk_size=None, login="image", key_pair="", password=None,
            forget_password=False, security_enhancement=False, policy=Policy(canary=1, before=PolicyStep("command", "drain")),
        )  # fmt: skip
        return drafts.edit_draft(
            actor=self.people[author], change_id=made.pk, settings=settings, now=DatabaseClock().now()
        )

    def _places(self, machines: list[Instance], others: list[Instance]) -> list[Place]:
        form = {
            "image_id": "ubuntu_24_04_x64", "disk_size": "60", "snapshot": "on", "snapshot_days": "14", "login": "password",
            "key_pair": "ops", "password": CANARY, "max_in_flight": "5", "failures_allowed": "1", "canary": "1",
            "canary_failures": "0", "hold": "timed", "hold_minutes": "10", "growth": "fixed", "wave_size": "2",
            "wave_failures": "", "skips_allowed": "", "spread_tag": "service", "force_stop_minutes": "0",
            "before_kind": "command", "before_text": "drain", "before_webhook": "", "before_timeout": "60",
            "after_kind": "", "after_text": "", "after_webhook": "", "after_timeout": "60", "calendar": "",
            "not_before": "", "not_after": "2126-11-30T22:00", "title": "T", "reason": "R", "rollback_plan": "P",
            "ticket": "https://tickets.example.com/1",
        }  # fmt: skip
        fields = [
            "image_id",
            "disk_size",
            "title",
            "ticket",
            "canary",
            "before_text",
            "not_after",
            "no_such_field",
            "password",
        ]
        changes = [self.draft] * 6 + [self.foreign, self.submitted, self.approved, self.gone]
        found = []
        for one in changes:
            at = [one.pk]
            found += [Place(reverse("draft-validate", args=[one.pk, name]), form) for name in fields]
            found += [Place(reverse("draft-follows", args=at), form)] * 3
            found += [Place(reverse(name, args=at), form) for name in ("draft", "draft-submit", "draft-discard")]
            target = {"target": str(self.draft.targets.all()[0].pk)}
            found += [
                Place(reverse("draft-leave-out", args=at), more)
                for more in (target, form | target, form | {"code": "blocked"})
            ]
            found += [Place(reverse("change-copy", args=at), {})]
        mine, all_of = str(machines[0].pk), ",".join(str(one.pk) for one in machines)
        choosing = {"instance": mine, "shown": all_of, "selection": str(uuid.UUID(int=7)), "act": "draft"}
        lock = {"act": "lock", "reason": "R", "expires_at": "2126-11-30T22:00", "instance": mine}
        more = [
            Place(reverse("draft-new"), {"instance": mine}),
            Place(reverse("draft-new"), {"instance": str(others[0].pk)}),
            *(Place(reverse("instances"), choosing | {"act": act}) for act in ("draft", "all", "clear", "tick", "")),
            Place(reverse("views"), {"name": "V", "query": "status=Running", "shared": "on", "act": "save"}),
            Place(reverse("views"), {"view": "1", "act": "delete"}),
            Place(reverse("paste"), {"text": "web-0001\n10.0.0.1\ni-x", "act": "judge"}),
            Place(reverse("locks"), lock | choosing),
            Place(reverse("instance-lock", args=[machines[0].pk]), lock),
            Place(reverse("instance-lock", args=[others[0].pk]), lock | {"act": "release"}),
            Place(reverse("change-upload"), {"file": '{"spec": {}, "leaves": []}'}),
        ]
        return found + more * 3


def digest() -> dict[str, str]:
    """Return for each table a digest over all of its rows: one query."""
    return _digest(dict.fromkeys(TABLES, "true"))


def digest_of(changes: list[Change]) -> dict[str, str]:
    """Return a digest of these changes and of what belongs to them: one query."""
    pks = ",".join(str(one.pk) for one in changes)
    parts = dict.fromkeys(("target", "leftout", "contributor", "approval", "comment"), f"change_id IN ({pks})")
    return _digest({"change": f"id IN ({pks})"} | parts)


def _digest(where: dict[str, str]) -> dict[str, str]:
    rows = "SELECT '{0}', md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM fleet_{0} t WHERE {1}"
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(rows.format(name, condition) for name, condition in where.items()))
        return dict(cursor.fetchall())


@contextmanager
def undone() -> Iterator[None]:
    """Let whatever happens inside be as if it had not."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def fault_of(
    sent: Submission, answer: Any, before: dict[str, str], others: list[Change], untouched: dict[str, str]
) -> str:
    """Say what is wrong with an answer, or nothing."""
    text = b"".join(answer).decode(errors="replace") if answer.streaming else answer.text
    status, refused = answer.status_code, answer.status_code in REFUSALS
    if status not in ANSWERS:
        return f"status {status}"
    if CANARY in text or any(CANARY in str(value) for value in answer.headers.values()):
        return "the password came back"
    # A refused submit may have saved the draft, where every field of it fits: it says so. What is typed live saves nothing.
    if (refused and "is saved as a draft" not in text) or "/validate/" in sent.path or sent.path.endswith("/follows"):
        moved = [name for name, value in digest().items() if value != before[name]]
        return f"answered with {status}, and yet {moved} changed" if moved else _mute(answer, text)
    if digest_of(others) != untouched:
        return "what is somebody else's changed"
    return _mute(answer, text)


def _mute(answer: Any, text: str) -> str:
    if answer.status_code in REFUSALS and not _sentence(answer, text):
        return f"refused with {answer.status_code} and no sentence"
    return ""


def _sentence(answer: Any, text: str) -> bool:
    """Say whether a person is told in words what is wrong: on the page, in a toast, or by the sign-in that they are led to."""
    if answer.status_code in (401, 405):
        return True  # led to the sign-in; no browser sends that method
    return '"toast"' in answer.get("HX-Trigger", "") or bool(re.search(r'role="alert"|class="error"|<h1', text))


@pytest.mark.parametrize("part", range(PARTS))
def test_hostile_submissions_get_a_sentence_and_change_nothing(part: int, record_property: Callable[..., None]) -> None:
    dealer, world = Dealer(seed(), part=part, parts=PARTS), World()
    before, seen = digest(), Counter[int]()
    others = {name: digest_of(changes) for name, changes in world.others.items()}
    people = [*world.clients, *["operator"] * 8]
    for number in range(rounds(2000) // PARTS):
        sent = submission(dealer, people=people, places=world.places, ids=world.ids)
        with undone():
            try:
                answer = world.clients[sent.who].generic("POST", sent.path, **sent.request())
                fault = fault_of(sent, answer, before, world.others[sent.who], others[sent.who])
            except Exception as error:
                raise AssertionError(f"case {number} of part {part}, seed {seed()}: {error!r} for {sent}") from error
        assert not fault, f"case {number} of part {part}, seed {seed()}: {fault} for {sent}"
        seen[answer.status_code] += 1
    assert digest() == before
    # Both sides of the fence were reached, or the cases prove nothing.
    assert seen[200] and seen[422] and seen[302] + seen[204] and seen[404] and seen[403]
    record_property("answers", dict(seen))


def test_every_case_begins_in_the_same_world() -> None:
    world = World()
    before = digest()
    with undone():
        Change.objects.filter(pk=world.draft.pk).update(title="Moved")
        assert digest() != before
    assert digest() == before
    assert User.objects.filter(username="operator").exists()
