"""The life of a draft: it is made of machines, edited, and then discarded or submitted for a review."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from fleet.audit.trail import record_on
from fleet.changes.acting import locked, wake
from fleet.changes.drafting.omissions import Omission, list_left_out
from fleet.changes.drafting.settings import Settings as Settings
from fleet.changes.drafting.settings import lacking, visible
from fleet.changes.judging import images
from fleet.changes.judging.judgement import judge_draft
from fleet.changes.judging.machine import disk_request_of
from fleet.changes.permissions import require
from fleet.guards.policy import Policy
from fleet.guards.roles import has_role_over
from fleet.lib.refused import Refused
from fleet.lib.text import count, listed
from fleet.models import AuditEvent, Change, ChangeState, Contributor, Instance, Role, Target, User
from fleet.vault.passwords import destroy_password, seal_password

MOST_MACHINES = 10_000


@transaction.atomic
def create_draft(
    *,
    actor: User,
    instance_pks: Iterable[int],
    now: datetime,
    why: str = "ticked by hand",
    omissions: Collection[Omission] = (),
    choices: Mapping[str, Any] | None = None,
    snapshots: Mapping[int, str] | None = None,
) -> Change:
    """Make a draft of the machines with these primary keys. An empty list is refused and never means all machines.

    `why` says of each machine how it came into the draft; `omissions` are listed in it as left out. `choices` are columns of
    the change as they were chosen elsewhere (in another change, in a file). `snapshots` are the ids of those that are put back,
    by the primary key of the machine.
    """
    wanted = set(instance_pks)
    change = freeze_machines(
        actor=actor, instance_pks=wanted, now=now, why=why, choices=choices or {}, snapshots=snapshots or {}
    )
    left_out = list_left_out(change, omissions, now)
    more = {"left_out": left_out} if left_out else {}
    record_on(change, "change.drafted", actor, machines=len(wanted), **more)
    return change


def freeze_machines(
    *,
    actor: User,
    instance_pks: Iterable[int],
    now: datetime,
    why: str,
    choices: Mapping[str, Any],
    snapshots: Mapping[int, str],
) -> Change:
    """Do what `create_draft` does in the transaction that is open, and leave it to the caller to record it."""
    wanted = set(instance_pks)
    if not wanted:
        raise Refused("No machine is selected. Tick at least one, then press Change OS.")
    if len(wanted) > MOST_MACHINES:
        raise Refused(f"{len(wanted):,} machines are selected; one change takes {MOST_MACHINES:,}. Select fewer.")
    instances = list(Instance.objects.filter(pk__in=wanted, gone_at=None).order_by("name", "pk"))
    if len(instances) < len(wanted):
        gone = len(wanted) - len(instances)
        words = ("machine of your selection no longer exists", "machines of your selection no longer exist")
        raise Refused(f"{count(gone, *words)}. Select again.", kind="moved")
    if not has_role_over(actor, Role.OPERATOR, {(i.account_id, i.environment) for i in instances}):
        raise Refused(
            "You are no operator for all of these machines. Ask an administrator, or select fewer.", kind="forbidden"
        )
    columns = {"policy": Policy().as_json(), "key_pair": _common_key_pair(instances)} | dict(choices)
    change = Change(author=actor, created_at=now, edited_at=now, **columns)
    # An image that was chosen by hand for a region in which none of these machines is would only mislead.
    regions = {images.key_of((instance.account_id, instance.region)) for instance in instances}
    change.images = {region: image for region, image in change.images.items() if region in regions}
    change.save()
    Target.objects.bulk_create(
        Target(change=change, instance=instance, position=place, why=why, snapshot_id=snapshots.get(instance.pk, ""))
        for place, instance in enumerate(instances)
    )
    _contributes(change, actor)
    return change


class Overtaken(Refused):
    """Refused: somebody else has edited the draft since it was shown."""

    def __init__(self, change: Change) -> None:
        edits = AuditEvent.objects.filter(change=change, action__in=("change.edited", "change.returned"))
        by = edits.order_by("-number").values_list("actor_name", flat=True).first() or "somebody"
        at = change.edited_at
        super().__init__(
            f"This draft was edited by {by} on {at.day} {at:%b %Y, %H:%M:%S} UTC, after your page had been shown. Nothing of"
            f" yours was saved, and all that you typed is still here. Press again to save it over that edit.",
            kind="moved",
        )


class NotSubmitted(Refused):
    """Refused although the settings are saved: no review could be asked for. Sentence, kind and field say why."""


@transaction.atomic
def edit_draft(
    *, actor: User, change_id: int, settings: Settings, now: datetime, seen: datetime | None = None
) -> Change:
    """Save what was chosen. Whoever saves contributes to the change and cannot approve it.

    `seen` is when the draft had last been edited as far as the actor knows. Refused (Overtaken) where it was edited since,
    unless this edit would change nothing.
    """
    change = locked(change_id)
    _edit(change, actor, settings, now, seen)
    return change


def _edit(change: Change, actor: User, settings: Settings, now: datetime, seen: datetime | None) -> None:
    require("edit", change, actor, now)
    before = visible(change)
    change.title, change.reason = settings.title.strip(), settings.reason.strip()
    change.ticket, change.rollback_plan = settings.ticket.strip(), settings.rollback_plan.strip()
    change.image_id, change.disk_size = settings.image_id, settings.disk_size
    images.map_images(change, settings.images)
    change.login, change.key_pair = settings.login, settings.key_pair
    change.security_enhancement, change.snapshot_days = settings.security_enhancement, settings.snapshot_days
    change.policy = settings.policy.as_json()
    change.calendar_id = settings.calendar
    change.not_before, change.not_after = settings.not_before, settings.not_after
    old_secret = change.secret
    if settings.password:
        change.secret = seal_password(settings.password, change=change, actor=actor)
    elif settings.forget_password:
        change.secret = None
    after = visible(change)
    if before != after:
        if seen not in (None, change.edited_at):
            raise Overtaken(change)
        change.edited_at = now
    change.save()
    if old_secret and old_secret != change.secret:
        destroy_password(old_secret, change=change, now=now, actor=actor)
    _contributes(change, actor)
    if before != after:
        different = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
        record_on(change, "change.edited", actor, changed=different)


@transaction.atomic
def leave_out(*, actor: User, change_id: int, reasons: dict[int, tuple[str, str]], now: datetime) -> int:
    """Take machines out of a draft and return how many. `reasons` are code and reason by the primary key of the target."""
    change = locked(change_id)
    require("edit", change, actor, now)
    targets = list(change.targets.filter(pk__in=reasons).select_related("instance"))
    if not targets:
        raise Refused("None of these machines is in the draft any more. Look at the list once more.", kind="moved")
    if len(targets) == change.targets.count():
        raise Refused("No machine would be left. Change the settings, or discard the draft.")
    move_out(change, {target: reasons[target.pk] for target in targets}, now=now)
    change.edited_at = now
    change.save(update_fields=["edited_at"])
    _contributes(change, actor)
    names = listed([str(target.instance) for target in targets])
    record_on(change, "change.edited", actor, left_out=len(targets), machines=names)
    return len(targets)


def move_out(change: Change, reasons: dict[Target, tuple[str, str]], *, now: datetime) -> None:
    """Take targets out of a change and list them as left out, by code and reason, in the transaction that is open."""
    list_left_out(change, [Omission(code, reason, target.instance) for target, (code, reason) in reasons.items()], now)
    Target.objects.filter(pk__in=[target.pk for target in reasons]).delete()


@transaction.atomic
def discard(*, actor: User, change_id: int, now: datetime) -> None:
    """Cancel a draft. Its row stays, since the audit trail speaks of it; its password is destroyed."""
    change = locked(change_id)
    require("discard", change, actor, now)
    change.state, change.finished_at = ChangeState.CANCELLED, now
    change.save(update_fields=["state", "finished_at"])
    destroy_password(change.secret, change=change, now=now, actor=actor)
    record_on(change, "change.discarded", actor)


def submit(
    *, actor: User, change_id: int, now: datetime, settings: Settings | None = None, seen: datetime | None = None
) -> Change:
    """Ask for a review: the worker reads every machine afresh before anybody sees the change.

    With `settings` they are saved first, as by `edit_draft` with `seen`. Where they are not saved (not permitted, Overtaken),
    nothing is done. Where they are, and the draft still cannot be submitted, or somebody else edited it in between, they stay
    saved and the refusal is a NotSubmitted.

    From here on the machines are in this change and in no other; the database says so, whoever was faster.
    """
    if settings is None:
        return _submit(actor, change_id, now)
    # In a transaction of its own: an edit is on the trail, and the trail's lock must not be held while machines are judged.
    saved = edit_draft(actor=actor, change_id=change_id, settings=settings, now=now, seen=seen)
    try:
        return _submit(actor, change_id, now, as_edited_at=saved.edited_at)
    except Refused as refused:
        raise NotSubmitted(refused.sentence, kind=refused.kind, field=refused.field) from refused


def _submit(actor: User, change_id: int, now: datetime, *, as_edited_at: datetime | None = None) -> Change:
    try:
        with transaction.atomic():
            change = locked(change_id)
            if as_edited_at not in (None, change.edited_at):
                raise Refused(
                    "Yours was saved, and then the draft was edited once more. Read it again, then submit it.",
                    kind="moved",
                )
            _ask_for_review(change, actor, now)
            return change
    except IntegrityError as error:
        if "instance_in_one_open_change" not in str(error):
            raise
    raise Refused(_who_was_faster(change_id), kind="moved")


def _ask_for_review(change: Change, actor: User, now: datetime) -> None:
    require("submit", change, actor, now)
    for field, sentence in lacking(change, now):
        raise Refused(sentence, field=field)
    images.map_images(change, images.by_hand_of(change))
    judgement = judge_draft(change=change, disk_request=disk_request_of(change), now=now)
    if judgement.blocked:
        first = judgement.refused[0].problem
        raise Refused(
            f"{count(judgement.blocked, 'machine is', 'machines are')} blocked: {first.why.rstrip('.').lower()}."
            f" Repair the causes, or leave those machines out.",
            field=first.field,
        )
    change.targets.update(open=True)
    change.state, change.submitted_at, change.check_note = ChangeState.CHECKING, now, ""
    change.checked, change.checked_at, change.due_at, change.claims = 0, None, now, 0
    change.lease += 1  # a check of an earlier submission may still be under way: it must not write any more
    change.save()
    _contributes(change, actor)
    wake()
    record_on(change, "change.submitted", actor, revision=change.revision, machines=judgement.total)


def _contributes(change: Change, actor: User) -> None:
    Contributor.objects.get_or_create(change=change, revision=change.revision, user=actor)


def _who_was_faster(change_id: int) -> str:
    mine = Target.objects.filter(change=change_id).values("instance")
    taken = Target.objects.filter(Q(open=True), instance__in=mine).exclude(change=change_id)
    rows = list(taken.select_related("instance", "change", "change__author").order_by("change_id")[:50])
    if not rows:
        return "Another change took one of these machines a moment ago. Submit again."
    names = listed([str(row.instance) for row in rows])
    other = rows[0].change
    return (
        f"{names}: already in open change #{other.pk} by {other.author}."
        f" Leave {'it' if len(rows) == 1 else 'them'} out, or wait until #{other.pk} ends."
    )


def _common_key_pair(instances: list[Instance]) -> str:
    names = {instance.key_pair for instance in instances}
    return names.pop() if len(names) == 1 else ""
