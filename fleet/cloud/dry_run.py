"""Asking whether a call would be allowed, without carrying it out: possible for the calls that have a dry run."""

from collections.abc import Sequence

from aliyunsdkecs.request.v20140526.CreateImageRequest import CreateImageRequest
from aliyunsdkecs.request.v20140526.StartInstancesRequest import StartInstancesRequest
from aliyunsdkecs.request.v20140526.StopInstancesRequest import StopInstancesRequest

from fleet.cloud.errors import CloudError
from fleet.cloud.transport import Transport

# The provider answers a dry run that would succeed with an error of one of these codes.
PASSED = frozenset({"DryRunOperation", "DRYRUN.SUCCESS"})
DRY_RUNS = {
    "StopInstances": StopInstancesRequest,
    "StartInstances": StartInstancesRequest,
    "CreateImage": CreateImageRequest,
}


def dry_run(client: Transport, action: str, *, ids: Sequence[str] = (), snapshot_id: str = "") -> None:
    """Ask whether `action` (a key of DRY_RUNS) would be allowed. Nothing is done; CloudError where it would not be allowed.

    Stop and Start take the `ids` of machines, CreateImage takes a `snapshot_id`.
    """
    request = DRY_RUNS[action]()
    request.set_DryRun(True)
    if snapshot_id:
        request.set_SnapshotId(snapshot_id)
        request.set_ImageName("fleet-os-probe")
    else:
        request.set_InstanceIds(list(ids))
    try:
        client.call(request, mutating=True)
    except CloudError as error:
        if error.code not in PASSED:
            raise
