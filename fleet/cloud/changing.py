"""The calls that change something. An empty list of machines is refused here and never means all machines.

Stop and Start take no ClientToken: only a reading before the call keeps them from being done twice, and that is the caller's
work. ReplaceSystemDisk takes a ClientToken and is not sent without one.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from aliyunsdkcore.request import RpcRequest
from aliyunsdkecs.request.v20140526.ApplyAutoSnapshotPolicyRequest import ApplyAutoSnapshotPolicyRequest
from aliyunsdkecs.request.v20140526.AttachKeyPairRequest import AttachKeyPairRequest
from aliyunsdkecs.request.v20140526.ReplaceSystemDiskRequest import ReplaceSystemDiskRequest
from aliyunsdkecs.request.v20140526.StartInstancesRequest import StartInstancesRequest
from aliyunsdkecs.request.v20140526.StopInstancesRequest import StopInstancesRequest
from aliyunsdkecs.request.v20140526.TagResourcesRequest import TagResourcesRequest

from fleet.cloud import parse
from fleet.cloud.transport import Transport
from fleet.cloud.types import BatchAnswer, ReplaceAnswer, Revealable

T = TypeVar("T")

MACHINES_A_CALL = 100
KEY_PAIR_MACHINES_A_CALL = 50
TAGGED_A_CALL = 50
TAGS_A_CALL = 20


class ChangingCalls(Transport):
    """The calls that change instances, disks and tags."""

    def stop_instances(self, *, ids: Sequence[str], force: bool = False) -> BatchAnswer:
        """Ask up to 100 instances to stop; one wrong id does not fail the others. They are billed further (KeepCharging).

        In economical mode an instance would lose its place on the host, and its static public address with it.
        """
        bounded(ids, MACHINES_A_CALL)
        request = StopInstancesRequest()
        request.set_InstanceIds(list(ids))
        request.set_StoppedMode("KeepCharging")
        if force:
            request.set_ForceStop(True)
        request.set_BatchOptimization("SuccessFirst")
        return self._act(request, lambda answer: parse.batch(answer, ids))

    def start_instances(self, *, ids: Sequence[str]) -> BatchAnswer:
        """Ask up to 100 instances to start; one wrong id does not fail the others."""
        bounded(ids, MACHINES_A_CALL)
        request = StartInstancesRequest()
        request.set_InstanceIds(list(ids))
        request.set_BatchOptimization("SuccessFirst")
        return self._act(request, lambda answer: parse.batch(answer, ids))

    def replace_system_disk(
        self,
        *,
        instance_id: str,
        image_id: str,
        client_token: str,
        size: int | None = None,
        key_pair: str = "",
        password: Revealable | None = None,
        password_inherit: bool = False,
        security_enhancement: bool | None = None,
    ) -> ReplaceAnswer:
        """Replace the system disk: the old one is destroyed. The answer comes before the work is finished.

        `size` is in GiB, None for the provider's default; `security_enhancement` None leaves the parameter out. ValueError
        without a ClientToken of 1 to 64 ASCII characters, or without an instance or an image. (ReplaceSystemDisk reference,
        Request parameters.)
        """
        if not client_token or len(client_token) > 64 or not client_token.isascii():
            raise ValueError("ReplaceSystemDisk does not leave without a ClientToken of 1 to 64 ASCII characters")
        if not instance_id or not image_id:
            raise ValueError("ReplaceSystemDisk names one instance and one image")
        request = ReplaceSystemDiskRequest()
        request.set_InstanceId(instance_id)
        request.set_ImageId(image_id)
        request.set_ClientToken(client_token)
        if size is not None:
            request.set_SystemDiskSize(size)
        if key_pair:
            request.set_KeyPairName(key_pair)
        if password_inherit:
            request.set_PasswordInherit(True)
        if security_enhancement is not None:
            request.set_SecurityEnhancementStrategy("Active" if security_enhancement else "Deactive")
        return self._act(
            request,
            lambda answer: ReplaceAnswer(text(answer, "DiskId"), text(answer, "RequestId")),
            # Never set_Password: it would write the password into the URL.
            secrets={"Password": password} if password is not None else None,
            timeout=self.replace_timeout,
        )

    def apply_auto_snapshot_policy(self, *, policy_id: str, disk_ids: Sequence[str]) -> str:
        """Bind an automatic snapshot policy to up to 100 disks and return the request id."""
        bounded(disk_ids, MACHINES_A_CALL)
        request = ApplyAutoSnapshotPolicyRequest()
        request.set_autoSnapshotPolicyId(policy_id)
        request.set_diskIds(json.dumps(list(disk_ids)))
        return self._act(request, lambda answer: text(answer, "RequestId"))

    def tag_disks(self, *, disk_ids: Sequence[str], tags: Mapping[str, str]) -> str:
        """Set up to 20 tags on up to 50 disks, each in place of the one with its key, and return the request id.

        The provider's own tags (`acs:`, `aliyun`) cannot be set by anybody else: leave them out (`settable`).
        """
        bounded(disk_ids, TAGGED_A_CALL)
        bounded(list(tags), TAGS_A_CALL)
        request = TagResourcesRequest()
        request.set_ResourceType("disk")
        request.set_ResourceIds(list(disk_ids))
        request.set_Tags([{"Key": key, "Value": value} for key, value in tags.items()])
        return self._act(request, lambda answer: text(answer, "RequestId"))

    def attach_key_pair(self, *, name: str, ids: Sequence[str]) -> BatchAnswer:
        """Bind a key pair to up to 50 Linux instances; it takes effect at their next start."""
        bounded(ids, KEY_PAIR_MACHINES_A_CALL)
        request = AttachKeyPairRequest()
        request.set_KeyPairName(name)
        request.set_InstanceIds(json.dumps(list(ids)))
        return self._act(request, lambda answer: parse.attached(answer, ids))

    def _act(
        self,
        request: RpcRequest,
        shape: Callable[[parse.Json], T],
        *,
        secrets: dict[str, Revealable] | None = None,
        timeout: int | None = None,
    ) -> T:
        answer = self.call(request, mutating=True, secrets=secrets, timeout=timeout)
        try:
            return shape(answer)
        except (KeyError, TypeError, ValueError, AttributeError):
            unreadable = self.unreadable(
                str(request.get_action_name()), mutating=True, request_id=str(answer.get("RequestId") or "")
            )
        raise unreadable


def settable(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that a client may set: all but the provider's own."""
    return {key: value for key, value in tags.items() if not key.startswith(("acs:", "aliyun"))}


def text(answer: parse.Json, name: str) -> str:
    """Return a text that the answer must hold; ValueError where it is empty."""
    if not answer[name]:
        raise ValueError(name)
    return str(answer[name])


def bounded(ids: Sequence[str], most: int) -> None:
    """Raise ValueError unless there are between 1 and `most` ids: an empty list never means all."""
    if not 0 < len(ids) <= most:
        raise ValueError(f"Between 1 and {most} a call, not {len(ids)}")
