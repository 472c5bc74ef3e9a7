"""What administrators do to the rules of how many must approve: each change of them is on the trail."""

from dataclasses import asdict, dataclass
from typing import Any

from django.db import IntegrityError, transaction

from fleet.administration.authority import account_of, require_administrator
from fleet.audit.trail import differences, record
from fleet.lib.refused import Refused
from fleet.models import QuorumRule, User

WHAT = "Changing the rules of approval"
MOST = 10


@dataclass(frozen=True, slots=True)
class RuleInput:
    """A rule as an administrator typed it; it applies to a change that every condition set here fits."""

    name: str
    approvals: int
    machines_at_least: int | None
    account_id: int | None
    environment: str
    os_family_change: bool
    without_snapshot: bool
    active: bool = True


@transaction.atomic
def save_rule(*, actor: User, rule_id: int | None, given: RuleInput) -> QuorumRule:
    """Add a rule (None), or change one. It applies to changes checked from now on; those in review keep their number."""
    existing = _rule(rule_id) if rule_id is not None else None
    require_administrator(actor, WHAT, given.account_id, *([existing.account_id] if existing else []))
    if not given.name.strip():
        raise Refused("The rule has no name. Enter one: reviewers read it as the reason.", field="name")
    if not 1 <= given.approvals <= MOST:
        raise Refused(f"A rule asks for 1 to {MOST} approvals. Enter such a number.", field="approvals")
    rule = existing or QuorumRule()
    before = _as_recorded(rule) if existing else {}
    values = asdict(given)
    rule.account = account_of(values.pop("account_id"))
    for name, value in values.items():
        setattr(rule, name, value.strip() if isinstance(value, str) else value)
    try:
        with transaction.atomic():
            rule.save()
    except IntegrityError:
        raise Refused(f"There is a rule {rule.name} already. Choose another name.", field="name") from None
    record(
        action="quorum_rule.changed" if existing else "quorum_rule.added",
        actor=actor,
        subject=rule.name,
        account=rule.account,
        data=differences(before, _as_recorded(rule)),
    )
    return rule


@transaction.atomic
def remove_rule(*, actor: User, rule_id: int) -> None:
    """Remove a rule; changes that are in review keep the number of approvals that they need."""
    rule = _rule(rule_id)
    require_administrator(actor, WHAT, rule.account_id)
    removed = _as_recorded(rule)
    rule.delete()
    record(action="quorum_rule.removed", actor=actor, subject=rule.name, account=rule.account, data=removed)


def conditions(rule: QuorumRule) -> list[str]:
    """Return in words what a change must be for the rule to hold; empty: any change."""
    found = []
    if rule.machines_at_least:
        found.append(f"{rule.machines_at_least:,} machines or more")
    if rule.account:
        found.append(f"machines of account {rule.account}")
    if rule.environment:
        found.append(f"machines of environment {rule.environment}")
    if rule.os_family_change:
        found.append("Windows and Linux change places")
    if rule.without_snapshot:
        found.append("no snapshot is taken")
    return found


def _rule(pk: int) -> QuorumRule:
    found = QuorumRule.objects.select_for_update(of=("self",)).select_related("account").filter(pk=pk).first()
    if found is None:
        raise Refused("There is no such rule any more. Look at the list.", kind="moved")
    return found


def _as_recorded(rule: QuorumRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "approvals": rule.approvals,
        "where": conditions(rule) or ["any change"],
        "active": rule.active,
    }
