"""The images: which system they hold, until when it gets security updates, and how many machines run them."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date

from django.db.models import Count, Q
from django.http import HttpResponse, QueryDict
from django.views.decorators.http import require_safe

from fleet.inventory.lifecycle import end_of_life, os_label, support_state
from fleet.lib.clock import DatabaseClock
from fleet.models import Image
from fleet.web.shared.htmx import Request, partial, pushed
from fleet.web.shared.numbers import number_of
from fleet.web.shared.paging import Page
from fleet.web.shared.scope import grants_of, visible_instances

OWNERS = {"self": "Custom", "system": "Alibaba Cloud", "others": "Shared with us", "marketplace": "Marketplace"}
SIZE = 50


@dataclass
class ImageRow:
    """An image of one account in all its regions. `machines` is how many run it, `state` is past, soon or empty."""

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
    fitting = [row for row in everything if _fits(row, request.GET)]
    number = number_of(request.GET.get("page"))
    start = (number - 1) * SIZE
    page = Page(fitting[start : start + SIZE], start + 1, SIZE, len(fitting) > start + SIZE, number > 1, len(fitting))
    context = {
        "page": page,
        "total": len(fitting),
        "any": bool(everything),
        "used": sum(1 for row in everything if row.machines),
        "asked": {name: request.GET.get(name, "") for name in ("q", "owner", "region", "os", "use")},
        "owners": sorted({(row.image.owner, OWNERS.get(row.image.owner, row.image.owner)) for row in everything}),
        "owner_words": OWNERS,
        "regions": sorted({region for row in everything for region in row.regions}),
        "systems": sorted({row.label for row in everything}),
        "accounts": len({row.image.account_id for row in everything}),
    }
    return pushed(request, partial(request, "instances/images.html", "results", context))


def _gather(request: Request, today: date) -> list[ImageRow]:
    """Return every image once for each account, with its regions and its machines (two queries)."""
    running: Counter[tuple[int, str]] = Counter()
    counted = visible_instances(request.user).order_by().values_list("account", "image_id").annotate(n=Count("pk"))
    for account, image_id, number in counted:
        running[account, image_id] += number
    grants = grants_of(request.user)
    accounts = {grant.account_id for grant in grants}
    visible = Q() if None in accounts else Q(account__in=accounts)
    found: dict[tuple[int, str], ImageRow] = {}
    regions: dict[tuple[int, str], list[str]] = defaultdict(list)
    rows = Image.objects.present().filter(visible if grants else Q(pk__in=[])).select_related("account")
    for image in rows.defer("supported_types").order_by("region"):
        key = (image.account_id, image.image_id)
        regions[key].append(image.region)
        if key not in found:
            ends, state = end_of_life(image.os_name), support_state(image.os_name, today)
            label = os_label(image.os_name) or "Not known"
            found[key] = ImageRow(image, label, ends, regions[key], running[key], state)
    return sorted(found.values(), key=lambda row: (-row.machines, row.label, row.image.image_id))


def _fits(row: ImageRow, asked: QueryDict) -> bool:
    words = asked.get("q", "").lower().split()
    text = f"{row.image.image_id} {row.image.name} {row.image.os_name} {row.label}".lower()
    return (
        all(word in text for word in words)
        and asked.get("owner", "") in ("", row.image.owner)
        and asked.get("os", "") in ("", row.label)
        and (not asked.get("region") or asked["region"] in row.regions)
        and (not asked.get("use") or (asked["use"] == "used") == bool(row.machines))
    )
