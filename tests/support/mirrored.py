"""Databases in which a demo fleet is mirrored already: made once a process, and rolled back by each test."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from fleet.engine import pace
from tests.support import databases, fleets
from tests.support.emulator import Emulator


class MirroredFleets:
    """A database for each emulator and size of its demo fleet that is asked for, and a connection to it."""

    def __init__(self) -> None:
        self._connections: dict[tuple[int, int], BaseDatabaseWrapper] = {}

    @contextmanager
    def of(self, emulator: Emulator, *, instances: int) -> Iterator[None]:
        """Reset the emulator to so many instances, let Django use a database that mirrors them, and roll back in the end."""
        emulator.reset(instances=instances)
        key = (emulator.port, instances)
        if key not in self._connections:
            self._connections[key] = _mirroring(emulator)
            emulator.reset(instances=instances)
        pace.forget()  # what it knows of an account goes by a number that is the same in every test
        with _in_place(self._connections[key]) as connection, transaction.atomic():
            yield
            if not connection.needs_rollback:
                connection.check_constraints()  # as a commit does with those that are deferred
            transaction.set_rollback(True)

    def drop(self) -> None:
        """Drop the databases."""
        for connection in self._connections.values():
            databases.drop_extra(connection)


def _mirroring(emulator: Emulator) -> BaseDatabaseWrapper:
    connection = databases.extra_database()
    with _in_place(connection):
        fleets.mirror(emulator)
    return connection


@contextmanager
def _in_place(connection: BaseDatabaseWrapper) -> Iterator[BaseDatabaseWrapper]:
    before = connections["default"]
    connections["default"] = connection
    try:
        yield connection
    finally:
        connections["default"] = before
