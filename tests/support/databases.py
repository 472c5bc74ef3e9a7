"""Databases of the tests: a PostgreSQL of their own, and fresh committed databases from a template."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
from django.conf import settings
from django.db import connection, connections
from django.test.utils import setup_databases
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fleet.management.postgres.server import EmbeddedPostgres
from fleet.management.processes.guardian import Guardian


@contextmanager
def database_server(*, folder: Path, guardian: Guardian) -> Iterator[str]:
    """Yield the address of a PostgreSQL server: DATABASE_URL's, else one started in `folder`."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    server = EmbeddedPostgres(folder=folder, guardian=guardian, logfile=folder / "postgres.log", durable=False)
    url = server.start()
    try:
        yield url
    finally:
        server.stop()


def point_django_at(*, url: str, worker: str) -> None:
    """Let Django, whose settings were read before the server had an address, connect to `url`.

    `worker` names the process among those that run tests on the one server: its databases bear that name.
    """
    parts = conninfo_to_dict(url)
    name = parts.pop("dbname", "fleet")
    found = {
        "NAME": name,
        "TEST": _described().get("TEST", {}) | {"NAME": f"test_{name}_{worker}"},
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "OPTIONS": _described()["OPTIONS"] | parts,
    }
    _described().update(found)
    # A connection object may exist already; it reads these on connecting.
    for each in connections.all(initialized_only=True):
        each.settings_dict.update(found)


def make_test_database() -> None:
    """Make and migrate the database of the tests that roll back, and keep a fresh copy to make others from."""
    setup_databases(verbosity=0, interactive=False)
    connection.close()
    with _server() as server:
        drop(name=_template(), server=server)
        _create(name=_template(), template=_described()["NAME"], server=server)


def drop_test_databases() -> None:
    """Drop what `make_test_database` made: DATABASE_URL may name a server that outlives the tests."""
    connections.close_all()
    with _server() as server:
        for name in (_template(), _described()["NAME"]):
            drop(name=name, server=server)


@dataclass(frozen=True, kw_only=True)
class CommittedDatabase:
    """A database of one test's own, in which commits stay until it is dropped."""

    name: str
    url: str


@contextmanager
def committed_database() -> Iterator[CommittedDatabase]:
    """Make a database from the template, let Django and child processes use it, and drop it afterwards.

    The audit trail refuses TRUNCATE and DELETE, so a test that commits cannot be cleaned up by a flush.
    """
    name = f"test_fleet_{secrets.token_hex(6)}"
    with _server() as server:
        _create(name=name, template=_template(), server=server)
    before, outside = _described()["NAME"], os.environ.get("DATABASE_URL")
    url = _address(database=name)
    _switch(name)
    os.environ["DATABASE_URL"] = url
    try:
        yield CommittedDatabase(name=name, url=url)
    finally:
        _switch(before)
        if outside is None:
            del os.environ["DATABASE_URL"]
        else:
            os.environ["DATABASE_URL"] = outside
        with _server() as server:
            drop(name=name, server=server)


def drop(*, name: str, server: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Drop a database, with the sessions that are still in it (threads of a server that has ended)."""
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _described() -> dict[str, Any]:
    # The very dictionary that connections of other threads are made from.
    return cast("dict[str, Any]", settings.DATABASES["default"])


def _template() -> str:
    return f"{_described()['TEST']['NAME']}_template"


def _create(*, name: str, template: str, server: "psycopg.Connection[tuple[object, ...]]") -> None:
    # Autovacuum may look into the template at this very moment; it leaves by itself.
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    end = time.monotonic() + 10
    while True:
        try:
            server.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        except psycopg.errors.ObjectInUse:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def _switch(name: str) -> None:
    connections.close_all()
    _described()["NAME"] = name
    for each in connections.all(initialized_only=True):
        each.settings_dict["NAME"] = name


@contextmanager
def _server() -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    with psycopg.connect(_address(database="postgres"), autocommit=True) as server:
        yield server


def _address(*, database: str) -> str:
    described = _described()
    return make_conninfo(
        **described["OPTIONS"],
        dbname=database,
        user=described["USER"] or None,
        password=described["PASSWORD"] or None,
        host=described["HOST"] or None,
        port=described["PORT"] or None,
    )
