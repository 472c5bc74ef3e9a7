"""What a person chooses for a change, and what a draft lacks as long as no review can be asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet

from fleet.changes.drafting.rollout import policy_faults
from fleet.changes.judging.images import AccountRegion
from fleet.guards.policy import Policy, PolicyStep
from fleet.lib.secret import Secret
from fleet.models import Calendar, Change, Login, Webhook

MOST_SNAPSHOT_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Settings:
    """What was chosen on a draft.

    `disk_size` is in GiB; None leaves every disk as large as it is, or as the image and the default ask for. `password` None
    keeps the password that is sealed already. `images` are the image ids that were chosen by hand for some places; elsewhere
    the equal of `image_id` is looked up. Without `snapshot_days` no snapshot is taken. `calendar` is the primary key of a
    calendar that is closed by default.
    """

    title: str
    reason: str
    image_id: str
    disk_size: int | None
    login: str
    key_pair: str
    password: Secret | None
    forget_password: bool
    security_enhancement: bool
    policy: Policy
    images: Mapping[AccountRegion, str] = field(default_factory=dict)
    snapshot_days: int | None = None
    ticket: str = ""
    rollback_plan: str = ""
    calendar: int | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None


def visible(change: Change) -> dict[str, object]:
    """Return the settings as the audit trail may show them: of a password, the fingerprint alone."""
    return {
        "title": change.title,
        "reason": change.reason,
        "ticket": change.ticket,
        "rollback_plan": change.rollback_plan,
        "image_id": change.image_id,
        "images": {place: image for place, (image, how) in sorted(change.images.items()) if how == "chosen"},
        "disk_size": change.disk_size,
        "login": change.login,
        "key_pair": change.key_pair,
        "password": change.secret.fingerprint if change.secret else None,
        "security_enhancement": change.security_enhancement,
        "snapshot_days": change.snapshot_days,
        "policy": Policy.of(change.policy).as_json(),
        "calendar": change.calendar_id,
        "not_before": change.not_before.isoformat() if change.not_before else None,
        "not_after": change.not_after.isoformat() if change.not_after else None,
    }


def lacking(change: Change, now: datetime) -> list[tuple[str, str]]:
    """Return what a draft lacks for a review, apart from the problems of its machines: pairs of field and sentence."""
    found = []
    if not change.targets.exists():
        found.append(("", "The draft has no machines. Select some on the page Instances."))
    if not change.image_id and not change.undoes_id:
        found.append(("image_id", "No image is chosen. Choose what the machines shall run."))
    if change.login == Login.KEY_PAIR and not change.key_pair:
        found.append(("key_pair", "No key pair is chosen. Choose one, or another way to sign in."))
    if change.login == Login.PASSWORD and not change.secret:
        found.append(("password", "No password is set. Type one, or choose another way to sign in."))
    if not change.title:
        found.append(("title", "The change has no title. Say in a few words what it does."))
    if not change.reason:
        found.append(("reason", "No reason is given. Say why, and how to live without these disks."))
    policy = Policy.of(change.policy)
    found += [(name, f"{why} {do}") for name, why, do in policy_faults(policy)]
    found += _webhooks_lacking(policy)
    found += [(name, f"{why} {do}") for name, why, do in window_faults(change.not_before, change.not_after, now)]
    if change.calendar_id and not window_calendars().filter(pk=change.calendar_id).exists():
        found.append(("calendar", "The calendar is not in use any more. Choose another one, or none."))
    return found


def window_faults(begin: datetime | None, end: datetime | None, now: datetime) -> list[tuple[str, str, str]]:
    """Return what is wrong with the window in which a change may run: the field, what is wrong, and what to do."""
    if end is None:
        return []
    if begin is not None and end <= begin:
        return [("not_after", "It ends before it begins.", "Enter a later time, or leave one of the two empty.")]
    if end <= now:
        return [("not_after", "This time has passed.", "Enter a later one, or leave it empty.")]
    return []


def window_calendars() -> QuerySet[Calendar]:
    """Return the calendars that a change may wait for: those in use that are closed by default."""
    return Calendar.objects.filter(active=True, open_by_default=False).order_by("name")


def step_webhooks() -> QuerySet[Webhook]:
    """Return the webhooks that may be a step before or after a replacement."""
    return Webhook.objects.filter(active=True, purpose=Webhook.Purpose.STEP).order_by("name")


def _webhooks_lacking(policy: Policy) -> list[tuple[str, str]]:
    asked = {f"{name}_webhook": step.webhook for name, step in steps_of(policy) if step.webhook is not None}
    if not asked:
        return []
    known = set(step_webhooks().filter(pk__in=asked.values()).values_list("pk", flat=True))
    words = "The webhook is not in use any more. Choose another one, or no step."
    return [(name, words) for name, webhook in asked.items() if webhook not in known]


def steps_of(policy: Policy) -> list[tuple[str, PolicyStep]]:
    """Return the steps of a policy that there are, each with its name: before or after."""
    return [(name, step) for name, step in (("before", policy.before), ("after", policy.after)) if step is not None]
