"""How many people must approve, as the rules of approval say; and whether the approvals given cover exactly this change."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.db import DatabaseError

from fleet.changes.digests import leaf_digest, spec_digest
from fleet.guards.approvals import rules_for, valid_approvals
from fleet.lib.refused import Refused
from fleet.models import Change, Target

# What the triggers refuse, by the code of the error, as people read it: a sentence and the kind of the refusal.
SENTENCES = {
    "FO002": ("You had a hand in this change; somebody who had none approves it.", "forbidden"),
    "FO003": ("The change moved while you looked. Read it once more, then decide.", "moved"),
    "23505": ("You decided on this form a moment ago. Read the change once more.", "moved"),
    "FO004": ("The change is no draft any more. Take it back to draft to edit it.", "moved"),
    "FO005": ("The change moved meanwhile. Look at its present state.", "moved"),
    "FO006": ("The change is not approved in this form. Take it back to draft and submit it again.", "moved"),
}


def set_approvals_needed(change: Change) -> None:
    """Set how many approvals a change needs and which rules ask for more than one; the caller saves it.

    The check calls it: a rule that is made or changed later applies to changes that are submitted later.
    """
    rules = rules_for(change)
    change.approvals_needed = max((rule.approvals for rule in rules), default=1)
    change.quorum_reasons = [rule.name for rule in rules if rule.approvals > 1]


def require_approvals(change: Change, targets: Sequence[Target], now: datetime) -> None:
    """Raise Refused unless enough approvals are valid for exactly this plan, each of which covers every one of these machines.

    The caller holds the lock on the change. The database asks once more as it lets the change run.
    """
    approvals = list(valid_approvals(change, now))
    if len(approvals) < max(1, change.approvals_needed) or spec_digest(change) != change.spec_digest:
        raise Refused(SENTENCES["FO006"][0], kind="moved")
    approved = set.intersection(*(set(approval.leaves) for approval in approvals))
    if any(leaf_digest(target) not in approved for target in targets):
        raise Refused(
            "Its machines are not the approved ones. Take it back to draft and submit it again.", kind="moved"
        )
    if not targets:
        raise Refused("No machine is left in it. End the change, or take it back to draft.", kind="moved")


@contextmanager
def refusals_of_the_database() -> Iterator[None]:
    """Raise Refused, with a sentence for people, for what a trigger refuses. To be used around the whole transaction."""
    try:
        yield
    except DatabaseError as error:
        sentence, kind = SENTENCES.get(getattr(error.__cause__, "sqlstate", ""), ("", ""))
        if not sentence:
            raise
        raise Refused(sentence, kind=kind) from None
