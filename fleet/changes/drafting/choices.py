"""What a draft can be made of: everything that its form offers, in one query, however many machines it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, F, Func, Max, Min, OuterRef, QuerySet, TextField
from django.db.models.expressions import Value
from django.db.models.functions import Coalesce, JSONObject, NullIf

from fleet.changes.drafting.settings import step_webhooks, windows
from fleet.changes.judging.editions import EDITIONS, Edition
from fleet.changes.judging.images import AccountRegion
from fleet.changes.queries import LeftOutGroup
from fleet.guards.forecast import USUAL
from fleet.models import Approval, Change, Decision, KeyPair, LeftOut, StepTiming, Target


@dataclass(frozen=True, slots=True)
class Returned:
    """What a reviewer said who asked for changes to the revision before this one."""

    reviewer: str
    revision: int
    reason: str


@dataclass(frozen=True, slots=True)
class DraftChoices:
    """What there is to choose from. `key_pairs` has for each name its regions; `quotas` replacements a minute by account.

    `machines` counts the draft's; `seconds` are those that each state of a machine usually takes; `left_out` are the near
    misses by reason, most machines first.
    """

    machines: int
    places: list[AccountRegion]
    accounts: dict[int, str]
    quotas: dict[int, int]
    editions: list[Edition]
    key_pairs: dict[str, list[str]]
    tag_keys: list[str]
    calendars: list[tuple[int, str]]
    webhooks: list[tuple[int, str]]
    seconds: dict[str, float]
    left_out: list[LeftOutGroup]
    returned: list[Returned]

    @property
    def regions(self) -> int:
        return len({region for _, region in self.places})


def choices_of(change: Change) -> DraftChoices:
    """Read what the form of a draft offers: one query."""
    mine = Target.objects.filter(change=OuterRef("pk")).order_by()
    places = mine.values("instance__account_id", "instance__region").annotate(n=Count("pk"))
    pairs = KeyPair.objects.present().filter(account__in=_accounts(change)).order_by("name", "region")
    left = LeftOut.objects.filter(change=OuterRef("pk")).order_by().values("reason", "code")
    row = (
        Change.objects.filter(pk=change.pk)
        .annotate(
            o_places=_rows(
                places,
                account="instance__account_id",
                region="instance__region",
                name=Max("instance__account__name"),
                edition=Max("instance__account__edition"),
                quota=Max("instance__account__replace_quota"),
                machines="n",
            ),
            o_pairs=_rows(pairs, account="account_id", region="region", name="name"),
            o_tags=ArraySubquery(mine.values(key=_keys("instance__tags")).distinct()),
            o_windows=_rows(windows(), pk="pk", name="name"),
            o_steps=_rows(step_webhooks(), pk="pk", name="name"),
            o_seconds=_rows(StepTiming.objects.filter(account__in=_accounts(change)), state="state", seconds="seconds"),
            o_left=_rows(
                left.annotate(n=Count("pk")),
                reason="reason",
                code="code",
                machines="n",
                first=Coalesce(Min(NullIf("instance__name", Value(""))), Min("instance__instance_id"), Min("named")),
            ),
            o_returned=_rows(_returned(change), who="reviewer__username", revision="revision", reason="reason"),
        )
        .values("o_places", "o_pairs", "o_tags", "o_windows", "o_steps", "o_seconds", "o_left", "o_returned")
        .get()
    )
    return _read(row)


def _read(row: Mapping[str, Any]) -> DraftChoices:
    where: list[dict[str, Any]] = row["o_places"]
    places = sorted((one["account"], one["region"]) for one in where)
    wanted = set(places)
    pairs: dict[str, list[str]] = {}
    for pair in row["o_pairs"]:
        if (pair["account"], pair["region"]) in wanted:
            pairs.setdefault(pair["name"], []).append(pair["region"])
    left = [LeftOutGroup(one["reason"], one["code"], one["machines"], one["first"]) for one in row["o_left"]]
    seconds = dict(USUAL)
    for timing in sorted(row["o_seconds"], key=lambda one: one["seconds"]):
        seconds[timing["state"]] = timing["seconds"]  # of several accounts the slowest
    return DraftChoices(
        machines=sum(one["machines"] for one in where),
        places=places,
        accounts={one["account"]: one["name"] for one in where},
        quotas={one["account"]: one["quota"] for one in where},
        editions=[EDITIONS[name] for name in sorted({one["edition"] for one in where})],
        key_pairs=pairs,
        tag_keys=sorted(row["o_tags"]),
        calendars=[(one["pk"], one["name"]) for one in row["o_windows"]],
        webhooks=[(one["pk"], one["name"]) for one in row["o_steps"]],
        seconds=seconds,
        left_out=sorted(left, key=lambda group: (-group.machines, group.reason)),
        returned=[Returned(one["who"], one["revision"], one["reason"]) for one in row["o_returned"]],
    )


def _rows(rows: QuerySet[Any, Any], **columns: Any) -> ArraySubquery:
    """Return rows as a list of dictionaries in one column."""
    return ArraySubquery(rows.values(row=JSONObject(**columns)))


def _keys(column: str) -> Func:
    return Func(F(column), function="jsonb_object_keys", output_field=TextField())


def _accounts(change: Change) -> QuerySet[Target, Any]:
    return Target.objects.filter(change=change).values("instance__account_id")


def _returned(change: Change) -> QuerySet[Approval]:
    asked = Approval.objects.filter(change=change, decision=Decision.RETURN, revision=change.revision - 1)
    return asked.order_by("-at")
