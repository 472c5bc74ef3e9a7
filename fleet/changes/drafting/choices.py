"""What there is to choose from for a draft: everything that its form shows, in one query, however many machines there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, F, Func, Max, OuterRef, QuerySet, TextField
from django.db.models.functions import JSONObject

from fleet.changes.drafting.settings import step_webhooks, window_calendars
from fleet.changes.judging.editions import EDITIONS, Edition
from fleet.changes.judging.images import AccountRegion
from fleet.changes.queries import LeftOutGroup, left_out_rows
from fleet.guards.forecast import USUAL
from fleet.models import Approval, Change, Decision, KeyPair, LeftOut, StepTiming, Target


@dataclass(frozen=True, slots=True)
class Returned:
    """What a reviewer wrote who returned the revision before this one."""

    reviewer: str
    revision: int
    reason: str


@dataclass(frozen=True, slots=True)
class DraftChoices:
    """What there is to choose from for a draft of so many `machines` in these `places`.

    `accounts` are names and `quotas` the replacements that we allow ourselves in a minute, both by the primary key of the
    account. `key_pairs` are the regions that have a key pair, by its name. `seconds` say how long a machine usually stays in
    each state. `left_out` are the machines that were left out, by reason, the reason with most machines first.
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
        """In how many regions the machines of the draft are, whatever their accounts."""
        return len({region for _, region in self.places})


def choices_of(change: Change) -> DraftChoices:
    """Read what there is to choose from: one query."""
    mine = Target.objects.filter(change=OuterRef("pk")).order_by()
    places = mine.values("instance__account_id", "instance__region").annotate(n=Count("pk"))
    pairs = KeyPair.objects.present().filter(account__in=_accounts(change)).order_by("name", "region")
    left = left_out_rows(LeftOut.objects.filter(change=OuterRef("pk")))
    row = (
        Change.objects.filter(pk=change.pk)
        .annotate(
            all_places=_rows(
                places,
                account="instance__account_id",
                region="instance__region",
                name=Max("instance__account__name"),
                edition=Max("instance__account__edition"),
                quota=Max("instance__account__replace_quota"),
                machines="n",
            ),
            all_key_pairs=_rows(pairs, account="account_id", region="region", name="name"),
            all_tag_keys=ArraySubquery(mine.values(key=_keys("instance__tags")).distinct()),
            all_calendars=_rows(window_calendars(), pk="pk", name="name"),
            all_webhooks=_rows(step_webhooks(), pk="pk", name="name"),
            all_seconds=_rows(
                StepTiming.objects.filter(account__in=_accounts(change)), state="state", seconds="seconds"
            ),
            all_left_out=_rows(left, reason="reason", code="code", machines="machines", first="first"),
            all_returned=_rows(_returned(change), who="reviewer__username", revision="revision", reason="reason"),
        )
        .values(
            "all_places",
            "all_key_pairs",
            "all_tag_keys",
            "all_calendars",
            "all_webhooks",
            "all_seconds",
            "all_left_out",
            "all_returned",
        )
        .get()
    )
    return _read(row)


def _read(row: Mapping[str, Any]) -> DraftChoices:
    by_place: list[dict[str, Any]] = row["all_places"]
    places = sorted((place["account"], place["region"]) for place in by_place)
    wanted = set(places)
    pairs: dict[str, list[str]] = {}
    for pair in row["all_key_pairs"]:
        if (pair["account"], pair["region"]) in wanted:
            pairs.setdefault(pair["name"], []).append(pair["region"])
    seconds = dict(USUAL)
    for timing in sorted(row["all_seconds"], key=lambda timing: timing["seconds"]):
        seconds[timing["state"]] = timing["seconds"]  # where accounts differ, the slowest counts
    return DraftChoices(
        machines=sum(place["machines"] for place in by_place),
        places=places,
        accounts={place["account"]: place["name"] for place in by_place},
        quotas={place["account"]: place["quota"] for place in by_place},
        editions=[EDITIONS[name] for name in sorted({place["edition"] for place in by_place})],
        key_pairs=pairs,
        tag_keys=sorted(row["all_tag_keys"]),
        calendars=[(calendar["pk"], calendar["name"]) for calendar in row["all_calendars"]],
        webhooks=[(webhook["pk"], webhook["name"]) for webhook in row["all_webhooks"]],
        seconds=seconds,
        left_out=[LeftOutGroup(**group) for group in row["all_left_out"]],
        returned=[Returned(review["who"], review["revision"], review["reason"]) for review in row["all_returned"]],
    )


def _rows(rows: QuerySet[Any, Any], **columns: Any) -> ArraySubquery:
    """Return a column that holds all of these rows, as a list of dictionaries with these columns."""
    return ArraySubquery(rows.values(row=JSONObject(**columns)))


def _keys(column: str) -> Func:
    return Func(F(column), function="jsonb_object_keys", output_field=TextField())


def _accounts(change: Change) -> QuerySet[Target, Any]:
    return Target.objects.filter(change=change).values("instance__account_id")


def _returned(change: Change) -> QuerySet[Approval]:
    asked = Approval.objects.filter(change=change, decision=Decision.RETURN, revision=change.revision - 1)
    return asked.order_by("-at")
