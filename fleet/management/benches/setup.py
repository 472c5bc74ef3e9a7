"""The setup of a bench: a PostgreSQL of its own with all tables, accounts whose cloud is an emulator. Nothing stays behind."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from psycopg.conninfo import conninfo_to_dict

from fleet.inventory.credentials import seal_credential
from fleet.lib.secret import Secret
from fleet.management.postgres.server import EmbeddedPostgres
from fleet.management.processes.guardian import Guardian
from fleet.models import Account, Grant, Role, User

REGIONS = ["cn-hangzhou", "cn-shanghai", "ap-southeast-1"]


@contextmanager
def database() -> Iterator[str]:
    """Let Django and child processes use a fresh database on a server of its own, and yield its address."""
    guardian = Guardian()
    with tempfile.TemporaryDirectory(prefix="fleet-bench-") as name:
        folder = Path(name)
        # The server may run under another user, who must be able to pass through.
        folder.chmod(0o711)
        server = EmbeddedPostgres(folder=folder, guardian=guardian, logfile=folder / "postgres.log")
        try:
            url = server.start()
            keys = Fernet.generate_key().decode()
            os.environ.update(DATABASE_URL=url, FLEET_SEAL_KEYS=keys)
            settings.SEAL_KEYS = [keys]
            _point_django_at(url)
            call_command("migrate", verbosity=0)
            yield url
        finally:
            connections.close_all()
            server.stop()
            guardian.close()


def account(name: str, *, endpoint: str, regions: Sequence[str] = REGIONS) -> Account:
    """Make an account whose cloud is the emulator at `endpoint` (host:port)."""
    credential = seal_credential(access_key_id="emulator", secret=Secret("emulator-secret"))
    return Account.objects.create(
        name=name, edition="2018", endpoint=endpoint, regions=list(regions), credential=credential, executes=True
    )


def person(role: Role) -> User:
    """Make somebody who has this role everywhere."""
    user = User.objects.create(username=role.value)
    Grant.objects.create(user=user, role=role, account=None, environment="")
    return user


def _point_django_at(url: str) -> None:
    parts = conninfo_to_dict(url)
    described = {
        "NAME": parts.pop("dbname"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "OPTIONS": parts,
    }
    connections.close_all()
    # The dictionary that connections of other threads are made from, and those that exist already.
    settings.DATABASES["default"].update(described)
    for each in connections.all(initialized_only=True):
        each.settings_dict.update(described)
