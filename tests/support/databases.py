"""Databases of the tests: a PostgreSQL of their own, and fresh committed databases from a template."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from fleet.management.postgres.server import EmbeddedPostgres
from fleet.management.processes.guardian import Guardian

Server: TypeAlias = "psycopg.Connection[tuple[object, ...]]"
MAKING = 4_720_000  # the number of the advisory lock under which templates are made and dropped


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


def point_django_at(*, url: str) -> None:
    """Let Django, whose settings were read before the server had an address, connect to `url`."""
    parts = conninfo_to_dict(url)
    found = {
        "NAME": parts.pop("dbname", "fleet"),
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


@contextmanager
def migrated_database(*, run: str, worker: str) -> Iterator[None]:
    """Let Django use a migrated database for the tests that roll back, and drop it afterwards.

    It is a copy of a template, made by the first of the processes of a run that comes here. `run` names the run and
    `worker` the process: a server that DATABASE_URL names may serve several runs, and outlives them.
    """
    before, tests = _described()["NAME"], _described()["TEST"]
    prefix = f"test_fleet_{run[:12]}_"  # short: PostgreSQL cuts a name off at 63 bytes
    own, template = f"{prefix}{worker}", f"{prefix}template"
    with _server() as server, _one_at_a_time(server):
        if template not in _databases(server, prefix=prefix):
            _make_template(template, server=server)
        _copy(template, name=own, server=server)
    outer, tests["TEMPLATE"] = tests.get("TEMPLATE"), template
    _switch(own)
    try:
        yield
    finally:
        tests["TEMPLATE"] = outer
        _switch(before)
        with _server() as server, _one_at_a_time(server):
            drop(name=own, server=server)
            # The last process of a run takes the template with it.
            if _databases(server, prefix=prefix) == {template}:
                drop(name=template, server=server)


def _make_template(name: str, *, server: Server) -> None:
    # Under its name only when it is whole: whoever makes it may be killed.
    partial = f"{name}_partial"
    drop(name=partial, server=server)
    server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(partial)))
    _switch(partial)
    call_command("migrate", verbosity=0)
    connections.close_all()
    server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(partial), sql.Identifier(name)))


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
        _copy(_described()["TEST"]["TEMPLATE"], name=name, server=server)
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


def extra_database() -> BaseDatabaseWrapper:
    """Make one more migrated database of this process, and return a connection to it, until `drop_extra`."""
    name = f"{_described()['NAME']}_{secrets.token_hex(4)}"
    with _server() as server:
        _copy(_described()["TEST"]["TEMPLATE"], name=name, server=server)
    connection = connections.create_connection("default")
    connection.settings_dict = connection.settings_dict | {"NAME": name}
    return connection


def drop_extra(connection: BaseDatabaseWrapper) -> None:
    """Drop a database that `extra_database` made."""
    connection.close()
    with _server() as server:
        drop(name=connection.settings_dict["NAME"], server=server)


def drop(*, name: str, server: Server) -> None:
    """Drop a database, with the sessions that are still in it (threads of a server that has ended)."""
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _described() -> dict[str, Any]:
    # The very dictionary that connections of other threads are made from.
    return cast("dict[str, Any]", settings.DATABASES["default"])


def _databases(server: Server, *, prefix: str) -> set[str]:
    rows = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix])
    return {str(name) for (name,) in rows}


@contextmanager
def _one_at_a_time(server: Server) -> Iterator[None]:
    # Held by the connection: it is free again if this process is killed.
    server.execute("SELECT pg_advisory_lock(%s)", [MAKING])
    yield
    server.execute("SELECT pg_advisory_unlock(%s)", [MAKING])


def _copy(template: str, *, name: str, server: Server) -> None:
    # On a server that DATABASE_URL names, autovacuum may look into the template at this very moment; it leaves by itself.
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
def _server() -> Iterator[Server]:
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
