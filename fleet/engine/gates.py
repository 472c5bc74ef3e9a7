"""What must hold at the moment of the irreversible call. Every gate fails closed."""

from datetime import datetime

from fleet.models import Account, Approval, Change, ChangeState, Decision, Replacement

DRIVING = frozenset({ChangeState.RUNNING, ChangeState.PAUSED, ChangeState.TRIPPED})


def closed(row: Replacement, change: Change, account: Account, leaves: frozenset[str], now: datetime) -> str:
    """Return the sentence that says which gate is closed for this machine, or nothing where all are open.

    `change` and `account` are read from the database a moment before; `leaves` are those that every valid approval signed.
    """
    if change.state not in DRIVING:
        return f"The change is {change.get_state_display().lower()}."
    if not account.executes:
        return f"The account {account} is in observe: nothing is changed in it."
    if not account.guard_lifted and row.instance.tags.get("fleet-os") != "allowed":
        return "The machine does not carry the tag fleet-os=allowed, and this account is guarded."
    if change.approved_until is None or change.approved_until <= now:
        return "The approval has expired."
    if row.target.leaf_digest not in leaves:
        return "No valid approval covers this machine with this disk."
    return ""


def approved_leaves(change: Change, now: datetime) -> frozenset[str]:
    """Return the leaves that every valid approval of the change's present form signed."""
    signed = [
        frozenset(leaves)
        for leaves in Approval.objects.filter(
            change=change,
            decision=Decision.APPROVE,
            revision=change.revision,
            spec_digest=change.spec_digest,
            voided_at=None,
            expires_at__gt=now,
        ).values_list("leaves", flat=True)
    ]
    return frozenset.intersection(*signed) if signed else frozenset()
