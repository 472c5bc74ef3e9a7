"""What the tests of a draft's page say often: a draft of some machines, and a form that fits."""

from typing import Any

from django.test import Client
from django.urls import reverse

from fleet.changes.drafting import drafts
from fleet.lib.clock import DatabaseClock
from fleet.models import Change, Image, Instance
from tests.support import fleets

HTMX = {"HX-Request": "true"}
GOOD = "Right-Horse-7"


def url(name: str, *args: Any) -> str:
    return reverse(name, args=args)


def drafted(machines: list[Instance], author: str = "operator") -> Change:
    return drafts.create_draft(
        actor=fleets.person(author), instance_pks=[m.pk for m in machines], now=DatabaseClock().now()
    )


def typed(image: Image, **other: str) -> dict[str, str]:
    return {
        "image_id": image.image_id,
        "disk_size": "60",
        "login": "key_pair",
        "key_pair": "ops-2026",
        "max_in_flight": "2",
        "failures_allowed": "1",
        "title": "Three to Ubuntu 24.04",
        "reason": "Out of support.",
    } | other


def live(client: Client, draft: Change, field: str, form: dict[str, str]) -> Any:
    return client.post(url("draft-validate", draft.pk, field), form, headers=HTMX)
