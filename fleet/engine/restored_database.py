"""Recognising a restored database.

A database that came back from a backup has forgotten the calls that were made since then: what its rows say was not sent may
have been sent. PostgreSQL tells the two apart by its system identifier and its timeline. Every machine that is being worked on
is then held for a person.
"""

from datetime import datetime

from django.db import connection, transaction

from fleet.audit.trail import record
from fleet.engine.codes import RESTORED
from fleet.engine.graph import GRAPH
from fleet.engine.moves import move
from fleet.engine.results import hold_for_person
from fleet.models import Installation, Replacement


def recognise(now: datetime) -> int:
    """Compare this database with the one that we knew; if it was restored, hold every live replacement. Return how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT system_identifier::text, timeline_id FROM pg_control_system(), pg_control_checkpoint()")
        identifier, timeline = cursor.fetchone()
    with transaction.atomic():
        known = Installation.objects.select_for_update().order_by("pk").first()
        if known is None:
            Installation.objects.create(system_identifier=identifier, timeline=timeline)
            return 0
        if (known.system_identifier, known.timeline) == (identifier, timeline):
            return 0
        known.system_identifier, known.timeline = identifier, timeline
        known.save(update_fields=["system_identifier", "timeline"])
        note = "The database was restored: calls that it has forgotten may have been made. Look at the machine first."
        live = Replacement.objects.select_for_update(no_key=True).filter(state__in=list(GRAPH)).order_by("pk")
        held = [(row, hold_for_person(row, note, code=RESTORED)) for row in sorted(live, key=lambda row: row.state)]
        move(held, now)
        record(
            action="worker.restored_database", subject="the database", data={"held": len(held), "timeline": timeline}
        )
    return len(held)
