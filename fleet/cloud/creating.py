"""The calls that create something: snapshots, images, runs of commands. None of them is sent without a ClientToken."""

import base64
from collections.abc import Mapping, Sequence

from aliyunsdkecs.request.v20140526.CreateImageRequest import CreateImageRequest
from aliyunsdkecs.request.v20140526.CreateSnapshotRequest import CreateSnapshotRequest
from aliyunsdkecs.request.v20140526.RunCommandRequest import RunCommandRequest

from fleet.cloud.changing import ChangingCalls, bounded, text
from fleet.cloud.types import CreatedAnswer

COMMAND_MACHINES_A_CALL = 50
RETENTION_DAYS = range(1, 65537)


class CreatingCalls(ChangingCalls):
    """The calls that create snapshots, images and runs of commands."""

    def create_snapshot(
        self, *, disk_id: str, name: str, days: int, client_token: str, tags: Mapping[str, str] | None = None
    ) -> CreatedAnswer:
        """Begin a snapshot of a disk, kept for `days`; it is ready when DescribeSnapshots calls it accomplished.

        The snapshot fails if the machine is started or stopped meanwhile.
        """
        _with_token(client_token)
        if days not in RETENTION_DAYS:
            raise ValueError("A snapshot is kept for 1 to 65,536 days")
        request = CreateSnapshotRequest()
        request.set_DiskId(disk_id)
        request.set_SnapshotName(name)
        request.set_RetentionDays(days)
        request.set_ClientToken(client_token)
        if tags:
            request.set_Tags(_pairs(tags))
        return self._act(request, lambda answer: CreatedAnswer(text(answer, "SnapshotId"), text(answer, "RequestId")))

    def create_image(
        self, *, snapshot_id: str, name: str, client_token: str, tags: Mapping[str, str] | None = None
    ) -> CreatedAnswer:
        """Begin a custom image from the snapshot of a system disk; it can be used when DescribeImages calls it Available."""
        _with_token(client_token)
        request = CreateImageRequest()
        request.set_SnapshotId(snapshot_id)
        request.set_ImageName(name)
        request.set_ClientToken(client_token)
        if tags:
            request.set_Tags(_pairs(tags))
        return self._act(request, lambda answer: CreatedAnswer(text(answer, "ImageId"), text(answer, "RequestId")))

    def run_command(
        self, *, ids: Sequence[str], kind: str, content: str, timeout: int, name: str, client_token: str
    ) -> CreatedAnswer:
        """Run a command on up to 50 machines through Cloud Assistant; read what came of it with `invocation_results`.

        `kind` is RunShellScript or RunPowerShellScript, `timeout` is in seconds. If one of the machines does not exist, the call
        is refused for all of them.
        """
        bounded(ids, COMMAND_MACHINES_A_CALL)
        _with_token(client_token)
        request = RunCommandRequest()
        request.set_InstanceIds(list(ids))
        request.set_Type(kind)
        request.set_CommandContent(base64.b64encode(content.encode()).decode())
        request.set_ContentEncoding("Base64")
        request.set_Timeout(timeout)
        request.set_Name(name)
        request.set_ClientToken(client_token)
        return self._act(request, lambda answer: CreatedAnswer(text(answer, "InvokeId"), text(answer, "RequestId")))


def _with_token(token: str) -> None:
    if not token or len(token) > 64 or not token.isascii():
        raise ValueError("This call does not leave without a ClientToken of 1 to 64 ASCII characters")


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
