"""An account of the emulator, in the test's database."""

from collections.abc import Callable

import pytest

from fleet.inventory.credentials import seal_credential
from fleet.lib.clock import DatabaseClock
from fleet.lib.secret import Secret
from fleet.models import Account
from tests.support.emulator import Emulator

REGION = "cn-hangzhou"
Open = Callable[..., Account]


@pytest.fixture
def open_account(emulator: Emulator) -> Open:
    """Make accounts of the emulator, in whatever database is in use; fields may be given."""

    def make(**given: object) -> Account:
        sealed = seal_credential(access_key_id=emulator.access_key_id, secret=Secret(emulator.access_key_secret))
        options: dict[str, object] = {
            "name": "lab",
            "edition": "2018",
            "endpoint": f"127.0.0.1:{emulator.port}",
            "regions": [REGION],
            "credential": sealed,
        }
        return Account.objects.create(**{**options, **given})

    return make


@pytest.fixture
def account(db: None, open_account: Open) -> Account:
    return open_account()


@pytest.fixture
def clock() -> DatabaseClock:
    return DatabaseClock()
