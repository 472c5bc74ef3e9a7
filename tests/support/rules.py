"""Rows as no use case would make them."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def rules_off() -> Iterator[None]:
    """Write rows by hand past the database's triggers, as a screen's test needs them: a change in any state, at once."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            yield
        finally:
            if not connection.needs_rollback:
                cursor.execute("SET session_replication_role = origin")
