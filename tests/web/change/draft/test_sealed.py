"""The sealed password of a change is destroyed on every way out, and nobody can open it afterwards."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from fleet.changes.digests import leaf_digest, spec_digest
from fleet.changes.drafting import drafts
from fleet.changes.drafting.settings import Settings
from fleet.changes.review import deciding
from fleet.changes.running import controls
from fleet.guards.policy import Policy
from fleet.lib.clock import DatabaseClock
from fleet.lib.secret import SealBroken, Secret
from fleet.models import AuditEvent, Change, ChangeState, Role, User
from fleet.vault.passwords import open_password, seal_password
from tests.support.people import account, change, image, machine, person

pytestmark = pytest.mark.django_db
GOOD = "Right-Horse-7"


class Sealed:
    """A change of one machine in some state, with a sealed password, and its people."""

    def __init__(self, state: str) -> None:
        home = account()
        image(home)
        self.author = person("operator", Role.OPERATOR)
        self.reviewer = person("reviewer", Role.APPROVER)
        self.change = change(
            self.author, [machine(home, 1)], state="draft", login="password", image_id="ubuntu_24_04_x64"
        )
        self.change.secret = seal_password(Secret(GOOD), change=self.change, actor=self.author)
        self.change.save()
        target = self.change.targets.select_related("instance").get()
        target.seen, target.open = {"disk_id": target.instance.disk_id}, True
        target.leaf_digest = leaf_digest(target)
        target.save()
        for step in {"draft": (), "in_review": ("checking", "in_review")}[state]:
            self.change.state, self.change.spec_digest = step, spec_digest(self.change)
            self.change.checked_at = self.change.submitted_at
            self.change.save()

    def approve(self) -> None:
        pk = self.change.pk
        now = DatabaseClock().now()
        deciding.approve(actor=self.reviewer, change_id=pk, digest=self.change.spec_digest, confirmed="1", now=now)


def discard(world: Sealed) -> None:
    drafts.discard(actor=world.author, change_id=world.change.pk, now=DatabaseClock().now())


def forget(world: Sealed) -> None:
    settings = Settings(
        title="T", reason="R", image_id="ubuntu_24_04_x64", disk_size=None, login="image", key_pair="", password=None,
        forget_password=True, security_enhancement=False, policy=Policy(),
    )  # fmt: skip
    drafts.edit_draft(actor=world.author, change_id=world.change.pk, settings=settings, now=DatabaseClock().now())


def reject(world: Sealed) -> None:
    deciding.reject(actor=world.reviewer, change_id=world.change.pk, reason="Not now.", now=DatabaseClock().now())


def cancel(world: Sealed) -> None:
    world.approve()
    controls.cancel(actor=world.author, change_id=world.change.pk, now=DatabaseClock().now())


def expire(world: Sealed) -> None:
    world.approve()
    assert deciding.expire_approvals(DatabaseClock().now() + timedelta(days=30)) == 1


@pytest.mark.parametrize(
    ("state", "way_out", "ends_as"),
    [
        ("draft", discard, ChangeState.CANCELLED),
        ("draft", forget, ChangeState.DRAFT),
        ("in_review", reject, ChangeState.REJECTED),
        ("in_review", cancel, ChangeState.CANCELLED),
        ("in_review", expire, ChangeState.EXPIRED),
    ],
    ids=["discarded", "forgotten", "rejected", "cancelled", "expired"],
)
def test_a_password_is_destroyed_on_every_way_out(state: str, way_out: Callable[[Sealed], None], ends_as: str) -> None:
    world = Sealed(state)
    secret = world.change.secret
    assert secret and open_password(world.change) == Secret(GOOD)
    way_out(world)
    secret.refresh_from_db()
    assert (secret.sealed, secret.destroyed_at is None) == ("", False)
    ended = Change.objects.get(pk=world.change.pk)
    assert ended.state == ends_as
    if ended.secret:
        with pytest.raises(SealBroken):
            open_password(ended)
    event = AuditEvent.objects.get(action="secret.destroyed")
    assert event.data == {"fingerprint": secret.fingerprint}
    assert User.objects.filter(username=event.actor_name).exists() or event.actor_name == "system"
