"""Clients of a real emulator."""

from collections.abc import Callable, Iterator

import pytest

from fleet.cloud import Credential, EcsClient, InstanceView
from fleet.lib.secret import Secret
from tests.cloud.recorder import Recorder, recording
from tests.support.emulator import Emulator

REGION = "cn-hangzhou"
Connect = Callable[..., EcsClient]


@pytest.fixture
def emulator(emulator_server: Emulator) -> Emulator:
    """The demo fleet in its usual size, whatever the test before asked for."""
    emulator_server.reset(instances=300, seed=1)
    return emulator_server


@pytest.fixture
def connect(emulator: Emulator) -> Connect:
    """Make clients; endpoint, region, credential and the rest may be given."""

    def make(**given: object) -> EcsClient:
        options: dict[str, object] = {
            "endpoint": f"127.0.0.1:{emulator.port}",
            "region": REGION,
            "credential": Credential(emulator.access_key_id, Secret(emulator.access_key_secret)),
        }
        return EcsClient(**{**options, **given})  # type: ignore[arg-type]

    return make


@pytest.fixture
def client(connect: Connect) -> EcsClient:
    return connect()


@pytest.fixture
def recorder(emulator: Emulator) -> Iterator[Recorder]:
    with recording(emulator.port) as each:
        yield each


def every_instance(client: EcsClient) -> list[InstanceView]:
    found, token = client.describe_instances()
    while token:
        page, token = client.describe_instances(next_token=token)
        found += page
    return found


def plain(client: EcsClient, *, status: str = "Running") -> list[InstanceView]:
    """Return ordinary x86 Linux machines of the demo fleet in this state."""
    return [
        one
        for one in every_instance(client)
        if one.os_type == "linux"
        and one.status == status
        and "case" not in one.tags
        and not one.locks
        and "y." not in one.instance_type
        and "6r." not in one.instance_type
    ]
