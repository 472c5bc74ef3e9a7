"""What people do to a run: each act shows its effect in numbers first, and is carried out by the press after that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.http import Http404, QueryDict

from fleet.changes.permissions import Act
from fleet.changes.running import after_a_stop, controls, held_machines, retrying, retrying_all
from fleet.changes.running.causes import rows_of
from fleet.changes.running.previews import preview
from fleet.lib.refused import Refused
from fleet.lib.text import count, moment_utc
from fleet.models import Change, Retry, User
from fleet.web.change.run.machines import cluster_of
from fleet.web.shared.forms import NO_NULL
from fleet.web.shared.numbers import ids_of

Do = Callable[..., object]


@dataclass(frozen=True, slots=True)
class RunActWords:
    """One kind of act: its words, and the use case that carries it out.

    `on` is what it is done to: the change, machines (a cluster or one), or retries. `asks` is the question that a reason
    answers, empty where none is asked for. `choices` are further buttons, each with a value of its own.
    """

    title: str
    button: str
    do: Do
    said: str
    on: str = "change"
    asks: str = ""
    danger: bool = False
    choices: tuple[tuple[str, str], ...] = ()


KINDS: dict[str, RunActWords] = {
    "pause": RunActWords("Pause", "Pause", controls.pause, "Paused: nothing new begins."),
    "resume": RunActWords("Let it go on", "Let it go on", controls.resume, "It goes on."),
    "cancel": RunActWords(
        "End it here",
        "End it here",
        controls.cancel,
        "Ended: what had not begun keeps its old system.",
        danger=True,
    ),
    "promote": RunActWords("Promote the canary", "Open the rest", controls.promote, "The next wave is open."),
    "ask_for_rest": RunActWords(
        "Ask for a fresh approval of the rest",
        "Ask for it",
        after_a_stop.ask_for_rest,
        "Asked: reviewers find it in their inbox.",
        asks="What failed, and why will the rest not?",
    ),
    "resume_rest": RunActWords(
        "Let the rest go on", "Let the rest go on", after_a_stop.resume_rest, "The rest goes on."
    ),
    "look_again": RunActWords(
        "Look again", "Look again", held_machines.look_again, "{n} given back to the engine.", on="machines"
    ),
    "give_up": RunActWords("Give up", "Give up", held_machines.give_up, "{n} given up.", on="machines", danger=True),
    "skip": RunActWords("Skip", "Skip", held_machines.skip, "{n} skipped.", on="machines"),
    "judge": RunActWords(
        "Say whether it serves",
        "",
        held_machines.judge_inconclusive,
        "{n} judged.",
        on="machines",
        choices=(("yes", "It serves"), ("no", "It does not serve")),
    ),
    "ask_retry": RunActWords(
        "Ask to replace once more",
        "Ask to retry",
        retrying_all.ask_retries,
        "{n}: another person is asked to agree.",
        on="machines",
        asks="Why should it be tried once more?",
    ),
    "agree_retry": RunActWords(
        "Agree to replace once more", "Agree", retrying_all.agree_retries, "{n} begun once more.", on="retries"
    ),
    "withdraw_retry": RunActWords(
        "Take the retry back", "Take it back", retrying.withdraw_retry, "Taken back.", on="retry"
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """An act as it is asked for: its effect in words, its object for the form's hidden fields, and what it calls for."""

    name: str
    kind: RunActWords
    words: str
    numbers: Mapping[str, int]
    hidden: dict[str, str]
    ids: list[int] = field(default_factory=list)
    about: str = ""


def asked_for(change: Change, name: str, given: QueryDict, now: datetime) -> Asked:
    """Return the act with its effect as things stand. Refused where what it was about moved on; Http404 for no such act."""
    kind = KINDS.get(name)
    if kind is None:
        raise Http404
    hidden, ids, about = _object(change, kind, given)
    if kind.on in ("retry", "retries"):
        rows = _retries(change).filter(pk__in=ids).select_related("replacement__instance", "asked_by")
        found = list(rows.order_by("asked_at", "pk"))
        if not found:
            raise Refused("This retry is no longer open. Look at the machine's present state.", kind="moved")
        effect = preview(change, "agree_retry", now, [one.replacement_id for one in found])
        words = effect.words if name == "agree_retry" else "Nothing is sent; the machine stays held."
        return Asked(name, kind, words, effect.numbers, hidden, [one.pk for one in found], _retry_words(found, now))
    effect = preview(change, name, now, ids if kind.on == "machines" else None)
    return Asked(name, kind, effect.words, effect.numbers, hidden, ids, about)


def carry_out(asked: Asked, change: Change, user: User, given: QueryDict, now: datetime) -> str:
    """Do it; return what to say then. Raises Refused."""
    kind = asked.kind
    more: dict[str, Any] = {"reason": given.get("reason", "")} if kind.asks else {}
    if "\0" in more.get("reason", ""):
        raise Refused(NO_NULL, field="reason")
    if kind.on == "machines":
        more["replacement_ids"] = asked.ids
    elif kind.on == "retries":
        more["retry_ids"] = asked.ids
    elif kind.on == "retry":
        more["retry_id"] = asked.ids[0]
    if kind.choices:
        if given.get("serves") not in ("yes", "no"):
            raise Refused("Press one of the buttons: it serves, or it does not.")
        more["serves"] = given["serves"] == "yes"
    done = kind.do(actor=user, change_id=change.pk, now=now, **more)
    return kind.said.format(n=count(done, "machine") if isinstance(done, int) else "")


def offered(name: str, offers: Mapping[str, Act]) -> Act:
    """Return whether this person may do it now: taking a retry back is for whoever may ask for one."""
    return offers["ask_retry" if name == "withdraw_retry" else name]


def _object(change: Change, kind: RunActWords, given: QueryDict) -> tuple[dict[str, str], list[int], str]:
    """Return the hidden fields that name what the act is done to, its ids, and a word for it."""
    if kind.on == "machines" and (key := given.get("cluster", "")):
        cluster = cluster_of(change, key)
        if cluster is None:
            raise Refused("These machines moved on meanwhile. Look at the present state.", kind="moved")
        ids = list(rows_of(change, cluster).values_list("pk", flat=True))
        return {"cluster": key}, ids, cluster.cause.words
    if kind.on == "machines":
        row = change.replacements.filter(pk__in=ids_of(given.getlist("machine"))).select_related("instance").first()
        if row is None:
            raise Http404
        return {"machine": str(row.pk)}, [row.pk], str(row.instance)
    if kind.on == "retry":
        ids = ids_of(given.getlist("retry"))
        return {"retry": str(ids[0]) if ids else ""}, ids, ""
    if kind.on == "retries":
        ids = ids_of(given.getlist("retry")) or list(_retries(change).values_list("pk", flat=True))
        return ({"retry": str(ids[0])} if given.get("retry") and ids else {}), ids, ""
    return {}, [], ""


def _retries(change: Change) -> Any:
    return Retry.objects.filter(replacement__change=change, agreed_at=None)


def _retry_words(found: Sequence[Retry], now: datetime) -> str:
    first = found[0]
    more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
    return f"{first.replacement.instance}{more}: {first.asked_by} asked {moment_utc(first.asked_at, now)}. “{first.reason}”"
