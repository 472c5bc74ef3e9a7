"""What a person last saw of a change, and what has moved since."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, QuerySet, Subquery, TextField, Value
from django.db.models.functions import Cast, Concat, JSONArray, Left

from fleet.changes.digests import spec
from fleet.lib.text import count
from fleet.models import Change, Instance, Look, User

NAMED = 10
WORDS = {
    "title": "Title",
    "reason": "Reason",
    "ticket": "Ticket",
    "rollback_plan": "Rollback plan",
    "image_id": "Image",
    "images": "Image by account and region",
    "disk_size": "Disk size",
    "login": "Login",
    "key_pair": "Key pair",
    "secret": "Password",
    "security_enhancement": "Security enhancement",
    "snapshot_days": "Snapshot first",
    "calendar": "Calendar",
    "not_before": "Not before",
    "not_after": "Not after",
    "max_in_flight": "Machines at a time",
    "failures_allowed": "Failures allowed",
    "skips_allowed": "Skips allowed",
    "canary": "Canary",
    "canary_failures": "Failures allowed in the canary",
    "hold": "Hold after the canary",
    "hold_minutes": "Minutes of the hold",
    "growth": "Waves",
    "wave_size": "Machines in a wave",
    "wave_failures": "Failures allowed in a wave",
    "spread_tag": "Never two of one",
    "force_stop_minutes": "Forced stop after minutes",
    "before": "Before step",
    "after": "After step",
}


@dataclass(frozen=True, slots=True)
class Moved:
    """What has moved since a person's last look: settings as label, before and after; machines as numbers, the first few by name.

    `revisions` are that of the look and the present one. `reread` counts machines whose reading differs from the one that the
    look showed.
    """

    since: datetime
    revisions: tuple[int, int]
    fields: list[tuple[str, str, str]] = field(default_factory=list)
    added: int = 0
    removed: int = 0
    reread: int = 0
    added_names: list[str] = field(default_factory=list)
    removed_names: list[str] = field(default_factory=list)
    comments: int = 0

    def __bool__(self) -> bool:
        """Say whether anything moved that is approved, or somebody commented."""
        return bool(self.plan_moved or self.comments)

    @property
    def plan_moved(self) -> bool:
        return bool(self.fields or self.added or self.removed or self.reread or self.revisions[0] != self.revisions[1])


def last_look(person: User, change: Change) -> Look | None:
    """Return what `person` saw last, None where this is the first look. The leaf digests are read only where they are used."""
    looks = Look.objects.defer("leaves").annotate(machines=F("leaves__len"))
    return looks.filter(person=person, change=change).first()


def look_of(person: User) -> Subquery:
    """Return a subquery: what this person last saw of each change (compare with `still_shows`)."""
    looks = Look.objects.filter(change=OuterRef("pk"), person=person.pk)
    return Subquery(looks.values(seen=JSONArray("revision", "leaves__len", "comments")))


def still_shows(seen: list[int], change: Change, *, machines: int, comments: int) -> bool:
    """Say whether a look shows the present form of a change: within a revision machines only leave, and nothing else moves."""
    return seen == [change.revision, machines, comments]


def moved_since(change: Change, look: Look, *, comments: int | None = None) -> Moved:
    """Return what has moved since a look: at most six queries, one less where the number of comments is passed."""
    now = _form(change)
    fields = [
        (WORDS.get(name, name), _words(name, look.spec.get(name)), _words(name, now.get(name)))
        for name in {**look.spec, **now}
        if look.spec.get(name) != now.get(name)
    ]
    comments = change.comments.count() if comments is None else comments
    moved = Moved(look.at, (look.revision, change.revision), fields, comments=max(0, comments - look.comments))
    then, leaves = _by_machine(look.leaves), _by_machine(_leaves(change))
    if then == leaves:
        return moved
    added, removed = leaves.keys() - then.keys(), then.keys() - leaves.keys()
    return replace(
        moved,
        added=len(added),
        removed=len(removed),
        reread=sum(then[pk] != leaves[pk] for pk in leaves.keys() & then.keys()),
        added_names=_names(added),
        removed_names=_names(removed),
    )


def remember_look(
    person: User,
    change: Change,
    now: datetime,
    *,
    look: Look | None = None,
    machines: int | None = None,
    comments: int | None = None,
) -> None:
    """Store what `person` sees of the change now; called once the page is rendered.

    Where the last `look` is passed and nothing moved, nothing is written. One query; one more for each of the numbers of
    machines and of comments that is not passed. Within a revision machines only leave, so that their number tells whether
    they are the same.
    """
    form = _form(change)
    comments = change.comments.count() if comments is None else comments
    left = change.targets.count() if machines is None else machines
    if (
        look
        and (look.revision, look.comments, look.spec) == (change.revision, comments, form)
        and _machines(look) == left
    ):
        return
    seen = Look(person=person, change=change, at=now, revision=change.revision, spec=form, comments=comments)
    seen.leaves = ArraySubquery(_keys(change))
    # One statement, so that two pages of one person at the same instant are no error.
    Look.objects.bulk_create(
        [seen],
        update_conflicts=True,
        unique_fields=["change", "person"],
        update_fields=["at", "revision", "spec", "leaves", "comments"],
    )


def _machines(look: Look) -> int | None:
    """Return how many machines a look showed, where it was read with that number."""
    machines: int | None = getattr(look, "machines", None)
    return machines


def _form(change: Change) -> dict[str, Any]:
    """Return what a reviewer reads of a change beside its machines, flat, as JSON."""
    signed = spec(change)
    settings, policy, window = signed["settings"], signed["policy"], signed["window"]
    texts = {name: getattr(change, name) for name in ("title", "reason", "ticket", "rollback_plan")}
    form: dict[str, Any] = texts | settings | policy | window
    return form


def _leaves(change: Change) -> list[str]:
    return list(_keys(change))


def _keys(change: Change) -> "QuerySet[Any, str]":
    """Return machine and leaf digest of each target, short enough for a column of 64 characters."""
    key = Concat(Cast("instance", TextField()), Value(":"), Left("leaf_digest", 32), output_field=TextField())
    return change.targets.order_by("instance").annotate(key=key).values_list("key", flat=True)


def _by_machine(leaves: list[str]) -> dict[int, str]:
    return {int(machine): leaf for machine, _, leaf in (each.partition(":") for each in leaves)}


def _names(pks: set[int]) -> list[str]:
    few = Instance.objects.filter(pk__in=pks).order_by("name", "pk")[:NAMED] if pks else []
    return [str(instance) for instance in few]


def _words(name: str, value: Any) -> str:
    """Return a setting as people read it; a password by the fingerprint that the spec holds."""
    if name == "secret":
        return f"set ({value[1]})" if value else "none"
    if name == "disk_size":
        return f"{value} GiB" if value else "the default"
    if name == "snapshot_days":
        return f"kept for {count(value, 'day')}" if value else "none"
    if name == "images" and value:
        return ", ".join(f"{place}: {image}" for place, image in value.items())
    if name in ("before", "after") and value:
        return f"{value['kind']}: {value['text'] or value['webhook']}"
    if value is None or value in ("", {}):
        return "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value).replace("_", " ")
