"""Which approvals of a change are valid at this moment, what they cover, and how many its rules ask for."""

from datetime import datetime

from django.db.models import Q, QuerySet

from fleet.models import Approval, Change, Contributor, Decision, QuorumRule


def rules_for(change: Change) -> list[QuorumRule]:
    """Return the active approval rules that fit the change as it was checked, by name; every condition of a rule must fit.

    Three queries, one where there is no rule.
    """
    rules = list(QuorumRule.objects.filter(active=True).order_by("name"))
    if not rules:
        return []
    places = list(change.targets.order_by().values_list("instance__account_id", "instance__environment"))
    other_family = change.targets.filter(findings__contains=[["os_family"]]).exists()
    scopes = set(places)

    def fits(rule: QuorumRule) -> bool:
        return (
            (rule.machines_at_least is None or len(places) >= rule.machines_at_least)
            and any(
                rule.account_id in (None, account) and rule.environment in ("", environment)
                for account, environment in scopes
            )
            and (other_family or not rule.os_family_change)
            and (change.snapshot_days is None or not rule.without_snapshot)
        )

    return [rule for rule in rules if fits(rule)]


def valid_approvals(change: Change, now: datetime) -> QuerySet[Approval]:
    """Return the approvals that count for the present form of a change."""
    return change.approvals.filter(is_valid(change, now))


def is_valid(change: Change, now: datetime) -> Q:
    """Return the condition of an approval that counts.

    It is for this revision, round and digest, neither void nor expired, and by somebody who had no part in the change.
    """
    contributors = Contributor.objects.filter(change=change).values("user")
    return Q(
        ~Q(reviewer__in=contributors),
        ~Q(reviewer=change.author_id),
        decision=Decision.APPROVE,
        revision=change.revision,
        round=change.round,
        spec_digest=change.spec_digest,
        voided_at=None,
        expires_at__gt=now,
    )


def approved_leaves(change: Change, now: datetime) -> frozenset[str]:
    """Return the leaf digests that every valid approval covers; none where there are too few approvals."""
    signed = [frozenset(leaves) for leaves in valid_approvals(change, now).values_list("leaves", flat=True)]
    if len(signed) < max(1, change.approvals_needed):
        return frozenset()
    return frozenset.intersection(*signed)
