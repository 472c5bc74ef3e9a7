"""Retries of a whole cluster by one press: each machine has its own wish, and its own word of another person."""

from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import transaction

from fleet.changes.running.retrying import agree_retry, ask_retry
from fleet.lib.refused import Refused
from fleet.models import User

MOST = 500  # each is an act of its own, with its event


def ask_retries(*, actor: User, change_id: int, replacement_ids: Sequence[int], reason: str, now: datetime) -> int:
    """Ask to replace each of these machines once more; return for how many. What moved on is left alone."""
    return _each(
        replacement_ids,
        lambda pk: ask_retry(actor=actor, change_id=change_id, replacement_id=pk, reason=reason, now=now),
    )


def agree_retries(*, actor: User, change_id: int, retry_ids: Sequence[int], now: datetime) -> int:
    """Agree to each of these retries; return to how many. Those that are not open any more are left alone."""
    return _each(retry_ids, lambda pk: agree_retry(actor=actor, change_id=change_id, retry_id=pk, now=now))


@transaction.atomic
def _each(pks: Sequence[int], act: Callable[[int], object]) -> int:
    """Carry out `act` for each; where none could be, raise the first refusal. Any that is no matter of time is raised."""
    if len(pks) > MOST:
        raise Refused(f"{len(pks):,} machines at once are too many; {MOST:,} is the most. Take them one by one.")
    done, first = 0, None
    for pk in pks:
        try:
            act(pk)
        except Refused as refused:
            if refused.kind != "moved":
                raise
            first = first or refused
        else:
            done += 1
    if not done:
        raise first or Refused("These machines moved on meanwhile. Look at the present state.", kind="moved")
    return done
