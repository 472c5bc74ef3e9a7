"""The calls that read. Each returns one page and how to get the next one; an answer of another shape is a CloudError.

DescribeDisks takes up to 100 disk ids, or *one* instance. So a hundred machines whose disk ids are known cost one call, and only
a machine whose disk id has changed costs a call of its own.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from aliyunsdkcore.request import RpcRequest
from aliyunsdkecs.request.v20140526.DescribeDisksRequest import DescribeDisksRequest
from aliyunsdkecs.request.v20140526.DescribeImagesRequest import DescribeImagesRequest
from aliyunsdkecs.request.v20140526.DescribeImageSupportInstanceTypesRequest import (
    DescribeImageSupportInstanceTypesRequest,
)
from aliyunsdkecs.request.v20140526.DescribeInstancesRequest import DescribeInstancesRequest
from aliyunsdkecs.request.v20140526.DescribeInstanceTypesRequest import DescribeInstanceTypesRequest
from aliyunsdkecs.request.v20140526.DescribeInvocationResultsRequest import DescribeInvocationResultsRequest
from aliyunsdkecs.request.v20140526.DescribeKeyPairsRequest import DescribeKeyPairsRequest
from aliyunsdkecs.request.v20140526.DescribeRegionsRequest import DescribeRegionsRequest
from aliyunsdkecs.request.v20140526.DescribeSnapshotsRequest import DescribeSnapshotsRequest

from fleet.cloud import parse
from fleet.cloud.transport import Transport
from fleet.cloud.types import (
    DiskView,
    ImageView,
    InstanceTypeView,
    InstanceView,
    KeyPairView,
    RegionView,
    RunResult,
    SnapshotView,
)

T = TypeVar("T")

IDS_A_CALL = 100
IMAGE_IDS_A_CALL = 50
DISKS_A_PAGE = 500
RESULTS_A_PAGE = 50
KEY_PAIRS_A_PAGE = 50
# By default only available images are shown: a deprecated one would look as if it had never existed.
_ALL_STATES = "Creating,Waiting,Available,UnAvailable,CreateFailed,Deprecated"


class ReadingCalls(Transport):
    """The calls that read and change nothing."""

    def describe_regions(self) -> list[RegionView]:
        """Return the regions that the account knows."""
        request = DescribeRegionsRequest()
        return self._read(request, lambda answer: _each(answer, "Regions", "Region", parse.region))

    def describe_instances(
        self, *, ids: Sequence[str] | None = None, next_token: str = ""
    ) -> tuple[list[InstanceView], str]:
        """Return the instances with these ids (at most 100; one that is gone is left out), or a page of the region's."""
        if ids is not None and not ids:
            return [], ""
        request = DescribeInstancesRequest()
        request.set_MaxResults(IDS_A_CALL)
        if ids is not None:
            request.set_InstanceIds(_id_list(ids))
        if next_token:
            request.set_NextToken(next_token)
        return self._read(request, lambda a: (_each(a, "Instances", "Instance", parse.instance), _token(a)))

    def describe_disks(
        self,
        *,
        disk_ids: Sequence[str] | None = None,
        instance_id: str = "",
        kind: str = "",
        next_token: str = "",
    ) -> tuple[list[DiskView], str]:
        """Return the disks with these ids (at most 100), those of one instance, or a page of the region's.

        `kind` is `system` or `data`.
        """
        if disk_ids is not None and not disk_ids:
            return [], ""
        request = DescribeDisksRequest()
        request.set_MaxResults(DISKS_A_PAGE)
        if disk_ids is not None:
            request.set_DiskIds(_id_list(disk_ids))
        if instance_id:
            request.set_InstanceId(instance_id)
        if kind:
            request.set_DiskType(kind)
        if next_token:
            request.set_NextToken(next_token)
        return self._read(request, lambda a: (_each(a, "Disks", "Disk", parse.disk), _token(a)))

    def describe_images(
        self, *, page: int = 1, image_ids: Sequence[str] | None = None, snapshot_id: str = ""
    ) -> tuple[list[ImageView], int | None]:
        """Return a page of images in every state, and the number of the next page.

        `image_ids` (at most 50) are the only ones to be shown; with `snapshot_id`, those made from that snapshot are.
        """
        if image_ids is not None and not image_ids:
            return [], None
        if image_ids is not None and len(image_ids) > IMAGE_IDS_A_CALL:
            raise ValueError(f"At most {IMAGE_IDS_A_CALL} ids a call")
        request = DescribeImagesRequest()
        request.set_PageSize(100)
        request.set_PageNumber(page)
        request.set_Status(_ALL_STATES)
        if image_ids is not None:
            request.set_ImageId(",".join(image_ids))
        if snapshot_id:
            request.set_SnapshotId(snapshot_id)
        return self._read(
            request, lambda a: (_each(a, "Images", "Image", parse.image), _next_page(a, page=page, size=100))
        )

    def image_support_types(self, *, image_id: str) -> list[str]:
        """Return the instance types on which the image can be installed by a replacement of the system disk."""
        request = DescribeImageSupportInstanceTypesRequest()
        request.set_ImageId(image_id)
        request.set_ActionType("ChangeOS")
        return self._read(
            request,
            lambda a: [str(row["InstanceTypeId"]) for row in parse.rows(a, "InstanceTypes", "InstanceType")],
        )

    def describe_key_pairs(self, *, page: int = 1, name: str = "") -> tuple[list[KeyPairView], int | None]:
        """Return a page of key pairs, or those whose name fits the pattern `name`, and the number of the next page."""
        request = DescribeKeyPairsRequest()
        request.set_PageSize(KEY_PAIRS_A_PAGE)
        request.set_PageNumber(page)
        if name:
            request.set_KeyPairName(name)
        return self._read(
            request,
            lambda a: (
                _each(a, "KeyPairs", "KeyPair", parse.key_pair),
                _next_page(a, page=page, size=KEY_PAIRS_A_PAGE),
            ),
        )

    def describe_instance_types(self, *, next_token: str = "") -> tuple[list[InstanceTypeView], str]:
        """Return a page of the provider's instance types, and the token of the next page."""
        request = DescribeInstanceTypesRequest()
        if next_token:
            request.set_NextToken(next_token)
        return self._read(
            request, lambda a: (_each(a, "InstanceTypes", "InstanceType", parse.instance_type), _token(a))
        )

    def describe_snapshots(
        self,
        *,
        progressing: bool = True,
        ids: Sequence[str] | None = None,
        disk_id: str = "",
        next_token: str = "",
    ) -> tuple[list[SnapshotView], str]:
        """Return the snapshots with these ids (at most 100), those of one disk, or a page of the region's.

        Of a region, only the snapshots that are still being made are shown, unless `progressing` is False.
        """
        if ids is not None and not ids:
            return [], ""
        request = DescribeSnapshotsRequest()
        request.set_MaxResults(100)
        if ids is not None:
            request.set_SnapshotIds(_id_list(ids))
        elif disk_id:
            request.set_DiskId(disk_id)
        elif progressing:
            request.set_Status("progressing")
        if next_token:
            request.set_NextToken(next_token)
        return self._read(request, lambda a: (_each(a, "Snapshots", "Snapshot", parse.snapshot), _token(a)))

    def invocation_results(self, *, invoke_id: str) -> list[RunResult]:
        """Return what each machine reports of one run of a command; a machine that is missing has not reported yet."""
        found: list[RunResult] = []
        token = ""
        while True:
            request = DescribeInvocationResultsRequest()
            request.set_InvokeId(invoke_id)
            request.set_MaxResults(RESULTS_A_PAGE)
            request.set_ContentEncoding("PlainText")
            if token:
                request.set_NextToken(token)
            page, token = self._read(
                request,
                lambda a: (
                    _each(a["Invocation"], "InvocationResults", "InvocationResult", parse.run_result),
                    _token(a),
                ),
            )
            found += page
            if not token:
                return found

    def _read(self, request: RpcRequest, shape: Callable[[parse.Json], T]) -> T:
        answer = self.call(request, mutating=False)
        try:
            return shape(answer)
        except (KeyError, TypeError, ValueError, AttributeError):
            unreadable = self.unreadable(
                str(request.get_action_name()), mutating=False, request_id=str(answer.get("RequestId") or "")
            )
        raise unreadable


def _each(answer: parse.Json, outer: str, inner: str, parsed: Callable[[parse.Json], T]) -> list[T]:
    return [parsed(row) for row in parse.rows(answer, outer, inner)]


def _token(answer: parse.Json) -> str:
    return str(answer.get("NextToken") or "")


def _next_page(answer: dict[str, Any], *, page: int, size: int) -> int | None:
    return page + 1 if page * size < int(answer["TotalCount"]) else None


def _id_list(ids: Sequence[str]) -> str:
    if len(ids) > IDS_A_CALL:
        raise ValueError(f"At most {IDS_A_CALL} ids a call")
    return json.dumps(list(ids))
