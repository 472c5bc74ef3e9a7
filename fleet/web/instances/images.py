"""The images: what they hold, until when it is mended, and which machines run them."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date

from django.db.models import Count, Q
from django.http import HttpResponse, QueryDict
from django.views.decorators.http import require_safe

from fleet.inventory.lifecycle import SOON, end_of_life, os_label
from fleet.lib.clock import DatabaseClock
from fleet.models import Image
from fleet.web.shared.htmx import Request, partial, pushed
from fleet.web.shared.numbers import number_of
from fleet.web.shared.paging import Page
from fleet.web.shared.scope import grants_of, visible_instances

OWNERS = {"self": "Custom", "system": "Alibaba Cloud", "others": "Shared with us", "marketplace": "Marketplace"}
SIZE = 50


@dataclass
class Shown:
    """An image of one account, in all its regions; `machines` run it."""

    image: Image
    label: str
    ends: date | None
    regions: list[str] = field(default_factory=list)
    machines: int = 0
    state: str = ""


@require_safe
def images(request: Request) -> HttpResponse:
    """Show the images that the mirror shows in the person's accounts, those in use first."""
    today = DatabaseClock().now().date()
    everything = _gather(request, today)
    kept = [shown for shown in everything if _fits(shown, request.GET)]
    number = number_of(request.GET.get("page"))
    start = (number - 1) * SIZE
    page = Page(kept[start : start + SIZE], start + 1, SIZE, len(kept) > start + SIZE, number > 1, len(kept))
    context = {
        "page": page,
        "total": len(kept),
        "any": bool(everything),
        "used": sum(1 for shown in everything if shown.machines),
        "asked": {name: request.GET.get(name, "") for name in ("q", "owner", "region", "os", "use")},
        "owners": sorted(
            {(shown.image.owner, OWNERS.get(shown.image.owner, shown.image.owner)) for shown in everything}
        ),
        "owner_words": OWNERS,
        "regions": sorted({region for shown in everything for region in shown.regions}),
        "systems": sorted({shown.label for shown in everything}),
        "accounts": len({shown.image.account_id for shown in everything}),
    }
    return pushed(request, partial(request, "instances/images.html", "results", context))


def _gather(request: Request, today: date) -> list[Shown]:
    """Return every image once for each account, with its regions and its machines (two queries)."""
    running: Counter[tuple[int, str]] = Counter()
    counted = visible_instances(request.user).order_by().values_list("account", "image_id").annotate(n=Count("pk"))
    for account, image_id, number in counted:
        running[account, image_id] += number
    grants = grants_of(request.user)
    mine = Q() if any(g.account_id is None for g in grants) else Q(account__in={g.account_id for g in grants})
    found: dict[tuple[int, str], Shown] = {}
    regions: dict[tuple[int, str], list[str]] = defaultdict(list)
    rows = Image.objects.present().filter(mine if grants else Q(pk__in=[])).select_related("account")
    for image in rows.defer("supported_types").order_by("region"):
        key = (image.account_id, image.image_id)
        regions[key].append(image.region)
        if key not in found:
            ends = end_of_life(image.os_name)
            state = "" if ends is None or ends >= today + SOON else ("past" if ends < today else "soon")
            label = os_label(image.os_name) or "Not known"
            found[key] = Shown(image, label, ends, regions[key], running[key], state)
    return sorted(found.values(), key=lambda s: (-s.machines, s.label, s.image.image_id))


def _fits(shown: Shown, asked: QueryDict) -> bool:
    words = asked.get("q", "").lower().split()
    text = f"{shown.image.image_id} {shown.image.name} {shown.image.os_name} {shown.label}".lower()
    return (
        all(word in text for word in words)
        and asked.get("owner", "") in ("", shown.image.owner)
        and asked.get("os", "") in ("", shown.label)
        and (not asked.get("region") or asked["region"] in shown.regions)
        and (not asked.get("use") or (asked["use"] == "used") == bool(shown.machines))
    )
