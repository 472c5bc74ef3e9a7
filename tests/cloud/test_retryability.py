"""Whether a failed call may be tried again: by its code, for reading and for mutating calls; and what real faults become."""

import time

import pytest

from fleet.cloud import CloudError, EcsClient, Retryability
from fleet.cloud.errors import clean, retryability_of
from tests.cloud.conftest import Connect, every_instance, plain
from tests.cloud.recorder import answering
from tests.support.emulator import Emulator

RETRY, WAIT, REFUSED, UNKNOWN = (
    Retryability.RETRY,
    Retryability.WAIT,
    Retryability.REFUSED,
    Retryability.UNKNOWN_OUTCOME,
)


@pytest.fixture
def impatient(connect: Connect) -> EcsClient:
    return connect(connect_timeout=1, call_timeout=2, replace_timeout=2)


@pytest.mark.parametrize(
    ("code", "status", "reading", "mutating"),
    [
        ("Throttling", 400, WAIT, WAIT),
        ("Throttling.User", 403, WAIT, WAIT),
        ("Throttling.Api", 429, WAIT, WAIT),
        ("Throttling.User", 503, WAIT, WAIT),
        ("SDK.HttpError", None, RETRY, UNKNOWN),
        ("SDK.UnknownServerError", 502, RETRY, UNKNOWN),
        ("SDK.UnreadableAnswer", None, RETRY, UNKNOWN),
        ("SDK.UnexpectedError", None, RETRY, UNKNOWN),
        ("InternalError", 500, RETRY, UNKNOWN),
        ("InternalError", 400, RETRY, UNKNOWN),
        ("ServiceUnavailable", 503, RETRY, UNKNOWN),
        ("ServiceUnavailable.RegionMaintaining", 503, RETRY, UNKNOWN),
        ("LimitedOperation.ServiceUnavailable", 503, RETRY, UNKNOWN),
        ("SignatureNonceUsed", 400, RETRY, UNKNOWN),
        ("OperationDenied", 500, RETRY, UNKNOWN),
        ("OperationDenied", 400, REFUSED, REFUSED),
        ("SomethingNew", 500, RETRY, UNKNOWN),
        ("SomethingNew", 403, REFUSED, REFUSED),
        ("IdempotentProcessing", 403, RETRY, RETRY),
        ("LastTokenProcessing", 403, RETRY, RETRY),
        ("InvalidOperation.Conflict", 409, RETRY, RETRY),
        ("OperationConflict", 409, RETRY, RETRY),
        ("InstanceNotReady", 500, RETRY, RETRY),
        ("IdempotentParameterMismatch", 400, REFUSED, REFUSED),
        ("IncorrectInstanceStatus", 403, REFUSED, REFUSED),
        ("InvalidImageId.NotFound", 404, REFUSED, REFUSED),
        ("InvalidAccessKeyId.NotFound", 404, REFUSED, REFUSED),
        ("Forbidden.RAM", 403, REFUSED, REFUSED),
        ("SDK.InvalidRegionId", None, REFUSED, REFUSED),
    ],
)
def test_code_decides(code: str, status: int | None, reading: Retryability, mutating: Retryability) -> None:
    assert retryability_of(code=code, mutating=False, http_status=status) is reading
    assert retryability_of(code=code, mutating=True, http_status=status) is mutating


def test_internal_error_of_a_replacement_is_told_by_its_text_too() -> None:
    found = retryability_of(code="OperationDenied", mutating=True, http_status=403, message="Internal Error.")
    assert found is UNKNOWN


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Not matched. server string to sign is:POST&%2F&Password%3DAbc", "Not matched."),
        (
            "Max retries exceeded with url: /?Action=X&Password=Abc1",
            "Max retries exceeded with url: (address left out)",
        ),
        ("see https://api.example.com/?Password=x now", "see (address left out) now"),
        ("Password=Abc1&x", "Password=***&x"),
        ("two\nlines", "two lines"),
        ("x" * 400, "x" * 300),
    ],
)
def test_texts_are_cleaned(text: str, kept: str) -> None:
    assert clean(text) == kept


@pytest.mark.parametrize(
    ("code", "status", "reading", "mutating"),
    [
        ("Throttling.User", 400, WAIT, WAIT),
        ("InternalError", 500, RETRY, UNKNOWN),
        ("ServiceUnavailable", 503, RETRY, UNKNOWN),
        ("InvalidOperation.Conflict", 409, RETRY, RETRY),
        ("Forbidden.RAM", 403, REFUSED, REFUSED),
    ],
)
def test_error_on_the_wire(
    emulator: Emulator, client: EcsClient, code: str, status: int, reading: Retryability, mutating: Retryability
) -> None:
    fault = {"kind": "error", "code": code, "status": status, "message": "Said so."}
    emulator.faults({**fault, "action": "DescribeInstances"}, {**fault, "action": "StartInstances"})
    with pytest.raises(CloudError) as read:
        client.describe_instances()
    with pytest.raises(CloudError) as acted:
        client.start_instances(ids=["i-23jggx34b"])
    for caught, retryability in ((read, reading), (acted, mutating)):
        error = caught.value
        assert (error.code, error.http_status, error.retryability) == (code, status, retryability)
        assert error.message == "Said so."
        assert error.request_id
    assert [each["action"] for each in emulator.journal()] == ["DescribeInstances", "StartInstances"]  # once each


def test_lost_answers(emulator: Emulator, impatient: EcsClient) -> None:
    emulator.faults({"kind": "drop", "action": "DescribeInstances"}, {"kind": "drop", "action": "StopInstances"})
    with pytest.raises(CloudError) as read:
        impatient.describe_instances()
    assert read.value.retryability is RETRY
    running = plain(impatient)[0]
    with pytest.raises(CloudError) as acted:
        impatient.stop_instances(ids=[running.instance_id])
    assert acted.value.retryability is UNKNOWN
    assert acted.value.request_id == ""
    assert impatient.describe_instances(ids=[running.instance_id])[0][0].status == "Running"


def test_done_and_the_answer_lost(emulator: Emulator, impatient: EcsClient) -> None:
    machine = plain(impatient, status="Stopped")[0]
    emulator.faults({"kind": "commit_then_drop", "action": "ReplaceSystemDisk"})
    wanted = {"instance_id": machine.instance_id, "image_id": machine.image_id, "client_token": "lost-1"}
    with pytest.raises(CloudError) as lost:
        impatient.replace_system_disk(**wanted)
    assert lost.value.retryability is UNKNOWN
    (disk,), _ = impatient.describe_disks(instance_id=machine.instance_id, kind="system")
    # The same token again: the same answer, and no second disk.
    assert impatient.replace_system_disk(**wanted).disk_id == disk.disk_id
    made = [
        one
        for one in emulator.ledger()["disks"]
        if one["instance_id"] == machine.instance_id and one["how"] == "ReplaceSystemDisk"
    ]
    assert [one["disk_id"] for one in made] == [disk.disk_id]


def test_slow_answers_end_in_time(emulator: Emulator, impatient: EcsClient) -> None:
    emulator.faults({"kind": "delay", "seconds": 4, "times": 0})
    began = time.monotonic()
    with pytest.raises(CloudError) as caught:
        impatient.start_instances(ids=["i-23jggx34b"])
    assert time.monotonic() - began < 3
    assert caught.value.retryability is UNKNOWN
    assert "no answer in time" in caught.value.message


def test_internal_error_of_a_replacement(client: EcsClient) -> None:
    case = next(one for one in every_instance(client) if one.tags.get("case") == "OperationDenied.500")
    with pytest.raises(CloudError) as caught:
        client.replace_system_disk(instance_id=case.instance_id, image_id=case.image_id, client_token="internal")
    assert (caught.value.code, caught.value.retryability) == ("OperationDenied", UNKNOWN)


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"[]", b'{"RequestId":"r-1"}', b"\xff\xfe", b""])
def test_answers_that_are_not_the_apis(connect: Connect, body: bytes) -> None:
    with answering(body) as port:
        client = connect(endpoint=f"127.0.0.1:{port}")
        with pytest.raises(CloudError) as read:
            client.describe_instances()
        with pytest.raises(CloudError) as acted:
            client.replace_system_disk(instance_id="i-1", image_id="m-1", client_token="t")
    assert (read.value.code, read.value.retryability) == ("SDK.UnreadableAnswer", RETRY)
    assert (acted.value.code, acted.value.retryability) == ("SDK.UnreadableAnswer", UNKNOWN)
