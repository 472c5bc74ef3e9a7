"""The named reads of a change: who is left out, by reason."""

import pytest

from fleet.changes.drafting.choices import choices_of
from fleet.changes.queries import LeftOutGroup, left_out_of
from fleet.lib.clock import DatabaseClock
from fleet.models import LeftOut, Role
from tests.support import people

pytestmark = pytest.mark.django_db


def test_what_is_left_out_is_told_by_a_name_whatever_it_has() -> None:
    """By a machine's name, else by its id, else by what was typed; the draft and the review say the same."""
    prod, now = people.account(), DatabaseClock().now()
    change = people.change(people.person("author", Role.OPERATOR), [people.machine(prod, 1)], state="draft")
    named, unnamed, gone = people.machine(prod, 2), people.machine(prod, 3, name=""), people.machine(prod, 4, name="")
    LeftOut.objects.bulk_create(
        LeftOut(change=change, instance=instance, named=typed, code=code, reason=reason, at=now)
        for code, reason, instance, typed in (
            ("locked", "It is locked.", unnamed, ""),
            ("locked", "It is locked.", named, ""),
            ("unknown", "There is no such machine.", None, "web-999"),
            ("gone", "It is gone.", gone, ""),
        )
    )
    told = [
        LeftOutGroup("It is locked.", "locked", 2, "web-0002"),
        LeftOutGroup("It is gone.", "gone", 1, gone.instance_id),
        LeftOutGroup("There is no such machine.", "unknown", 1, "web-999"),
    ]
    assert left_out_of(change) == told
    assert choices_of(change).left_out == told
