"""Every error row of the reference, earned by the one request that earns it: code, status and message, in both formats."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.emulator.caller import EXAMPLE, Emulated

Prepare = Callable[[Emulated], dict[str, str]]


@dataclass(frozen=True)
class Row:
    """One row of the reference's table, typed from it, and what earns it."""

    code: str
    message: str
    status: int
    request: dict[str, str] = field(default_factory=dict)
    prepare: Prepare = lambda emu: {}
    name: str = ""


def image_tagged(code: str) -> Prepare:
    """Use the demo fleet's image for this case on the example machine, which is plain and stopped."""

    def find(emu: Emulated) -> dict[str, str]:
        tag = {"Tag.1.Key": "case", "Tag.1.Value": code}
        (image,) = emu.ok("DescribeImages", tag)["Images"]["Image"]
        return {"ImageId": image["ImageId"]}

    return find


def instance_tagged(code: str) -> Prepare:
    """Use the demo fleet's instance for this case, with its own image."""

    def find(emu: Emulated) -> dict[str, str]:
        instance = emu.instance(emu.tagged(code))
        return {"InstanceId": instance["InstanceId"], "ImageId": instance["ImageId"]}

    return find


NOT_VALID_SIZE = "The specified parameter SystemDisk.Size is invalid."
REMOVED = (
    "The specified market image is not available, Or the specified user defined image includes product code because it "
    "is based on an image subscribed from marketplace, and that image in marketplace includeing exact the same product "
    "code has been removed."
)
EXPIRED = (
    "The specified operation is denied as your prepay instance is expired (prepay mode) or in arrears (afterpay mode)."
)
SNAPSHOT_OF_DATA_DISK = "The specified image contains the snapshot of the data disk,does not support this operation."
IN_SNAPSHOT = "The operation is denied due to a snapshot of the specified disk is not completed yet."
NOT_BOUGHT = "The specified image is from the image market. You have not bought it or your quota has been exceeded."
ROWS = [
    Row(
        "InvalidParameter.Conflict",
        "The specified image does not support the specified instance type.",
        400,
        prepare=image_tagged("InvalidParameter.Conflict"),
    ),
    Row(
        "InvalidPassword.Malformed",
        "The specified parameter “Password” is not valid.",
        400,
        {"Password": "alllowercase1"},
    ),
    Row(
        "InvalidPasswordParam.Mismatch",
        "The input password should be null when passwdInherit is true.",
        400,
        {"Password": "Abcdefg1", "PasswordInherit": "True"},
    ),
    Row("InvalidSystemDiskSize", NOT_VALID_SIZE, 400, {"SystemDisk.Size": "40.5"}),
    Row(
        "InvalidSystemDiskSize.ImageNotSupportResize",
        "The specified image does not support resize.",
        400,
        {"SystemDisk.Size": "60"},
        image_tagged("InvalidSystemDiskSize.ImageNotSupportResize"),
    ),
    Row("InvalidSystemDiskSize.ValueNotSupported", NOT_VALID_SIZE, 400, {"SystemDisk.Size": "39"}),
    Row(
        "OperationDenied",
        SNAPSHOT_OF_DATA_DISK,
        400,
        prepare=image_tagged("OperationDenied.400"),
        name="OperationDenied.400",
    ),
    Row(
        "ChargeTypeViolation",
        "The operation is not permitted due to charge type of the instance.",
        403,
        prepare=instance_tagged("ChargeTypeViolation"),
    ),
    Row("DiskCreatingSnapshot", IN_SNAPSHOT, 403, prepare=instance_tagged("DiskCreatingSnapshot")),
    Row(
        "ImageNotSubscribed",
        "The specified image has not be subscribed.",
        403,
        prepare=image_tagged("ImageNotSubscribed"),
    ),
    Row(
        "ImageNotSupportInstanceType",
        "The specified image don not support the InstanceType instance.",
        403,
        prepare=image_tagged("ImageNotSupportInstanceType"),
    ),
    Row("ImageRemovedInMarket", REMOVED, 403, prepare=image_tagged("ImageRemovedInMarket")),
    Row(
        "IncorrectInstanceStatus",
        "The current status of the resource does not support this operation.",
        403,
        prepare=instance_tagged("IncorrectInstanceStatus"),
    ),
    Row(
        "INST_HAS_UNPAID_ORDER", "The instance has unpaid order.", 403, prepare=instance_tagged("INST_HAS_UNPAID_ORDER")
    ),
    Row("Instanceexpiredorinarrears", EXPIRED, 403, prepare=instance_tagged("Instanceexpiredorinarrears")),
    Row(
        "InstanceLockedForSecurity",
        "The instance is locked due to security.",
        403,
        prepare=instance_tagged("InstanceLockedForSecurity"),
    ),
    Row(
        "IoOptimized.NotSupported",
        "The specified image is not support IoOptimized Instance.",
        403,
        prepare=image_tagged("IoOptimized.NotSupported"),
    ),
    Row("QuotaExceed.BuyImage", NOT_BOUGHT, 403, prepare=image_tagged("QuotaExceed.BuyImage")),
    Row("InvalidImageId.NotFound", "The specified ImageId does not exist.", 404, {"ImageId": "m-nosuchimage"}),
    Row(
        "InvalidInstanceId.NotFound", "The specified InstanceId does not exist.", 404, {"InstanceId": "i-nosuchmachine"}
    ),
    Row(
        "InvalidSystemDiskSize.LessThanImageSize",
        "The specified parameter SystemDisk.Size is less than the image size.",
        404,
        {"ImageId": "m-bp1goldendb202606", "SystemDisk.Size": "30"},
    ),
    Row(
        "InvalidSystemDiskSize.LessThanMinSize",
        "The specified parameter SystemDisk.Size is less than the min size.",
        404,
        {"SystemDisk.Size": "19"},
    ),
    Row(
        "InvalidSystemDiskSize.MoreThanMaxSize",
        "The specified SystemDisk.Size parameter exceeds the maximum size.",
        404,
        {"SystemDisk.Size": "501"},
    ),
    Row("NoSuchResource", "The specified resource is not found.", 404, {"KeyPairName": "nobody"}),
    Row(
        "OperationDenied",
        "Internal Error.",
        500,
        prepare=instance_tagged("OperationDenied.500"),
        name="OperationDenied.500",
    ),
]


def test_the_table_is_whole() -> None:
    by_status = {status: sum(row.status == status for row in ROWS) for status in (400, 403, 404, 500)}
    assert by_status == {400: 7, 403: 11, 404: 6, 500: 1}
    assert len({row.name or row.code for row in ROWS}) == 25


@pytest.mark.parametrize("row", ROWS, ids=[row.name or row.code for row in ROWS])
def test_row(emu: Emulated, row: Row) -> None:
    request = {**EXAMPLE, **row.prepare(emu), **row.request}
    before = emu.disks(request["InstanceId"]) if request["InstanceId"] != "i-nosuchmachine" else []

    answer = emu.call("ReplaceSystemDisk", request)
    assert (answer.code, answer.status, answer.message) == (row.code, row.status, row.message)
    assert set(answer.data) == {"RequestId", "HostId", "Code", "Message", "Recommend"}

    status, error = emu.xml("ReplaceSystemDisk", request)
    assert error.tag == "Error"
    assert (error.findtext("Code"), status, error.findtext("Message")) == (row.code, row.status, row.message)
    assert error.findtext("RequestId")
    assert error.findtext("HostId")

    assert emu.last_call()["code"] == row.code
    assert emu.told("GET", "ledger?since=seed")["disks"] == []
    if before:
        assert emu.disks(request["InstanceId"]) == before


def test_without_the_cause_the_same_request_is_accepted(emu: Emulated) -> None:
    """Were the example machine refused for a reason of its own, the rows above would prove nothing."""
    answer = emu.call("ReplaceSystemDisk", {**EXAMPLE, "SystemDisk.Size": "40", "KeyPairName": "ops-2026"})
    assert answer.status == 200
    assert answer.data["DiskId"].startswith("d-")


@pytest.mark.parametrize("name", ["InstanceId", "ImageId"])
def test_required_parameters(emu: Emulated, name: str) -> None:
    answer = emu.call("ReplaceSystemDisk", {key: value for key, value in EXAMPLE.items() if key != name})
    assert (answer.status, answer.code) == (400, "MissingParameter")
    assert f'"{name}"' in answer.message


def test_the_references_example_verbatim(emu: Emulated) -> None:
    """No RegionId, no Format: XML with DiskId and RequestId, from the instance's own region."""
    status, root = emu.xml("ReplaceSystemDisk", EXAMPLE)
    assert status == 200
    assert root.tag == "ReplaceSystemDiskResponse"
    assert {child.tag for child in root} == {"DiskId", "RequestId"}
    assert emu.last_call()["region"] == "cn-hangzhou"


def test_the_references_example_in_json(emu: Emulated) -> None:
    answer = emu.call("ReplaceSystemDisk", EXAMPLE)
    assert answer.status == 200
    assert set(answer.data) == {"DiskId", "RequestId"}
    assert answer.data["DiskId"] == emu.disks("i-23jggx34b")[-1]["DiskId"]
