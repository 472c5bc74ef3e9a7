"""What people do to a run: each act shows its effect in numbers first, and is carried out by the press after that."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.http import Http404, QueryDict

from fleet.changes.running.acts import ACTS, RunAct, preview
from fleet.changes.running.causes import rows_of
from fleet.changes.running.previews import Effect
from fleet.changes.running.retrying import unanswered
from fleet.lib.refused import Refused
from fleet.lib.text import count, moment_utc
from fleet.models import Change, Retry, User
from fleet.web.change.run.machines import cluster_of
from fleet.web.change.run.words import WORDS, RunActWords
from fleet.web.shared.forms import NO_NULL
from fleet.web.shared.numbers import ids_of


@dataclass(frozen=True, slots=True)
class Asked:
    """An act as it is asked for: what it would do, and what it is done to.

    `hidden` are the form's hidden fields that name this once more, `ids` the keys that the use case takes, and `about` is a
    word for it, empty for the whole change.
    """

    name: str
    words: RunActWords
    effect: Effect
    hidden: dict[str, str]
    ids: list[int] = field(default_factory=list)
    about: str = ""


def asked_for(change: Change, name: str, given: QueryDict, now: datetime) -> Asked:
    """Return the act with its effect as things stand. Refused where what it was about moved on; Http404 for no such act."""
    act = ACTS.get(name)
    if act is None:
        raise Http404
    hidden, ids, about = _object(change, act, given)
    machines = ids if act.on == "machines" else []
    if act.on in ("retry", "retries"):
        rows = unanswered(change).filter(pk__in=ids).select_related("replacement__instance", "asked_by")
        retries = list(rows.order_by("asked_at", "pk"))
        if not retries:
            raise Refused("This retry is no longer open. Look at the machine's present state.", kind="moved")
        ids, machines = [retry.pk for retry in retries], [retry.replacement_id for retry in retries]
        about = _retry_words(retries, now)
    return Asked(name, WORDS[name], preview(change, name, now, machines), hidden, ids, about)


def carry_out(asked: Asked, change: Change, user: User, given: QueryDict, now: datetime) -> str:
    """Do it; return what to say then. Raises Refused."""
    act, words = ACTS[asked.name], asked.words
    more: dict[str, Any] = {"reason": given.get("reason", "")} if words.asks else {}
    if "\0" in more.get("reason", ""):
        raise Refused(NO_NULL, field="reason")
    if act.on == "machines":
        more["replacement_ids"] = asked.ids
    elif act.on == "retries":
        more["retry_ids"] = asked.ids
    elif act.on == "retry":
        more["retry_id"] = asked.ids[0]
    if words.choices:
        if given.get("serves") not in ("yes", "no"):
            raise Refused("Press one of the buttons: it serves, or it does not.")
        more["serves"] = given["serves"] == "yes"
    done = act.do(actor=user, change_id=change.pk, now=now, **more)
    return words.done.format(n=count(done, "machine") if isinstance(done, int) else "")


def _object(change: Change, act: RunAct, given: QueryDict) -> tuple[dict[str, str], list[int], str]:
    """Return the hidden fields that name what the act is done to, its ids, and a word for it."""
    if act.on == "machines" and (key := given.get("cluster", "")):
        cluster = cluster_of(change, key)
        if cluster is None:
            raise Refused("These machines moved on meanwhile. Look at the present state.", kind="moved")
        ids = list(rows_of(change, cluster).values_list("pk", flat=True))
        return {"cluster": key}, ids, cluster.cause.words
    if act.on == "machines":
        row = change.replacements.filter(pk__in=ids_of(given.getlist("machine"))).select_related("instance").first()
        if row is None:
            raise Http404
        return {"machine": str(row.pk)}, [row.pk], str(row.instance)
    if act.on == "retry":
        ids = ids_of(given.getlist("retry"))
        return {"retry": str(ids[0]) if ids else ""}, ids, ""
    if act.on == "retries":
        ids = ids_of(given.getlist("retry")) or list(unanswered(change).values_list("pk", flat=True))
        return ({"retry": str(ids[0])} if given.get("retry") and ids else {}), ids, ""
    return {}, [], ""


def _retry_words(retries: Sequence[Retry], now: datetime) -> str:
    first = retries[0]
    more = f" and {len(retries) - 1:,} more" if len(retries) > 1 else ""
    return f"{first.replacement.instance}{more}: {first.asked_by} asked {moment_utc(first.asked_at, now)}. “{first.reason}”"
