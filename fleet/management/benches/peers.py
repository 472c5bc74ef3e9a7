"""Two other ways to replace system disks, for comparison: one machine at a time, with the official SDK as it comes.

The call sequences are those that OOS's action `ACS::ECS::ReplaceSystemDisk` and Terraform's `alicloud_instance` document: their
order, and the times between their looks. Times are divided by `speed`, as the emulator divides the lives of its machines.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import RpcRequest

MOST_LOOKS = 60
THROTTLED_WAIT = 5.0  # seconds, not divided: quotas are real minutes


@dataclass(frozen=True, slots=True)
class Order:
    """What is replaced with what. `in_flight` is the number of threads, one machine each."""

    port: int
    region: str
    image_id: str
    size: int
    key_pair: str
    instance_ids: list[str]
    in_flight: int
    speed: float


class Sdk:
    """The official client, one for each thread, since it is not said to be safe between threads."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._local = threading.local()

    def call(self, action: str, **parameters: object) -> dict[str, Any]:
        """Return the answer of one action, asking again after throttling as both peers do."""
        while True:
            request = RpcRequest("Ecs", "2014-05-26", action, "ecs")
            request.set_method("POST")
            for name, value in parameters.items():
                request.add_query_param(name.replace("__", "."), value)
            try:
                answer: dict[str, Any] = json.loads(self._client().do_action_with_exception(request))
                return answer
            except ServerException as refused:
                if not str(refused.get_error_code()).startswith("Throttling"):
                    raise
                time.sleep(THROTTLED_WAIT)

    def instance(self, instance_id: str) -> dict[str, Any]:
        """Return DescribeInstances of one machine."""
        found = self.call("DescribeInstances", InstanceIds=json.dumps([instance_id]))
        machine: dict[str, Any] = found["Instances"]["Instance"][0]
        return machine

    def disk(self, disk_id: str) -> dict[str, Any] | None:
        """Return DescribeDisks of one disk, None while it does not show."""
        found: list[dict[str, Any]] = self.call("DescribeDisks", DiskIds=json.dumps([disk_id]))["Disks"]["Disk"]
        return found[0] if found else None

    def _client(self) -> AcsClient:
        client: AcsClient | None = getattr(self._local, "client", None)
        if client is None:
            client = AcsClient("emulator", "emulator-secret", self.order.region, auto_retry=False, timeout=30)
            client.add_endpoint(self.order.region, "Ecs", f"127.0.0.1:{self.order.port}")
            self._local.client = client
        return client


def oos(order: Order) -> None:
    """Replace all machines as OOS does: status, stop, wait, replace without token and size, wait, start, wait."""
    sdk = Sdk(order)

    def one(instance_id: str) -> None:
        if sdk.instance(instance_id)["Status"] != "Stopped":
            sdk.call("StopInstance", InstanceId=instance_id)
            _wait(_doubling(), lambda: sdk.instance(instance_id)["Status"] == "Stopped", order)
        disk_id = sdk.call(
            "ReplaceSystemDisk", InstanceId=instance_id, ImageId=order.image_id, KeyPairName=order.key_pair
        )["DiskId"]
        _wait(_doubling(), lambda: (sdk.disk(disk_id) or {}).get("Status") == "In_use", order)
        _start(sdk, instance_id)
        _wait(_doubling(), lambda: sdk.instance(instance_id)["Status"] == "Running", order)

    _for_each(one, order)


def terraform(order: Order) -> None:
    """Replace all machines as Terraform does: more looks, two calls a look while the disk is made, size and token passed."""
    sdk = Sdk(order)

    def one(instance_id: str) -> None:
        if sdk.instance(instance_id)["Status"] != "Stopped":
            sdk.call("StopInstance", InstanceId=instance_id, ForceStop="false")
            _wait(_state_change(), lambda: sdk.instance(instance_id)["Status"] == "Stopped", order)
        sdk.instance(instance_id)  # its key pair
        disk_id = sdk.call(
            "ReplaceSystemDisk",
            InstanceId=instance_id,
            ImageId=order.image_id,
            SystemDisk__Size=order.size,
            KeyPairName=order.key_pair,
            ClientToken=f"terraform-{instance_id}",
        )["DiskId"]

        def replaced() -> bool:
            machine, disk = sdk.instance(instance_id), sdk.disk(disk_id)
            return bool(machine["ImageId"] == order.image_id and disk and disk["Size"] == order.size and _in_use(disk))

        _wait(_every(5.0), replaced, order)
        _start(sdk, instance_id)
        _wait(_state_change(), lambda: sdk.instance(instance_id)["Status"] == "Running", order)

    _for_each(one, order)


def _in_use(disk: dict[str, Any]) -> bool:
    return bool(disk["Status"] == "In_use")


def _start(sdk: Sdk, instance_id: str) -> None:
    """Start, asking again while the machine is still being worked on, as both do."""
    for _ in range(MOST_LOOKS):
        try:
            sdk.call("StartInstance", InstanceId=instance_id)
            return
        except ServerException as refused:
            if refused.get_error_code() not in ("IncorrectInstanceStatus", "InvalidOperation.Conflict"):
                raise
            time.sleep(5.0 / sdk.order.speed)
    raise TimeoutError(f"{instance_id} cannot be started")


def _wait(pauses: Iterator[float], good: Callable[[], bool], order: Order) -> None:
    for _ in range(MOST_LOOKS):
        time.sleep(next(pauses) / order.speed)
        if good():
            return
    raise TimeoutError("a machine did not get where it was asked to be")


def _doubling() -> Iterator[float]:
    """OOS's WaitFor: at once, then after 2, 4, 8 and so on seconds."""
    yield 0.0
    pause = 2.0
    while True:
        yield pause
        pause *= 2


def _state_change() -> Iterator[float]:
    """Terraform's StateChangeConf with a delay of 5 s and at least 3 s between looks, doubling up to 10 s."""
    yield 5.0
    pause = 3.0
    while True:
        yield pause
        pause = min(10.0, pause * 2)


def _every(seconds: float) -> Iterator[float]:
    while True:
        yield seconds


def _for_each(one: Callable[[str], None], order: Order) -> None:
    with ThreadPoolExecutor(max_workers=order.in_flight) as pool:
        # A failure of one machine is the failure of the measurement: nothing is left out of the figures.
        list(pool.map(one, order.instance_ids))
