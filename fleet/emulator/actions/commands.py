"""Cloud Assistant: RunCommand, InvokeCommand, DescribeInvocationResults, DescribeCloudAssistantStatus.

Nothing is executed: a command succeeds where the machine runs and serves, and fails where a fault says so.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from fleet.emulator.contract.call import Call
from fleet.emulator.contract.matching import all_of, tags_match
from fleet.emulator.contract.paging import cut, page_of
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.wire.errors import ApiError, common_error, missing
from fleet.emulator.wire.times import to_second
from fleet.emulator.world.catalogue import REGIONS
from fleet.emulator.world.ids import new_id
from fleet.emulator.world.resources import Command, Instance, Invocation

TYPES = ("RunShellScript", "RunBatScript", "RunPowerShellScript")
MOST_CONTENT = 24 * 1024
RECORD_STATUS = {"Success": "Finished", "Failed": "Failed", "Aborted": "Failed", "Timeout": "Failed"}


@action(
    "RunCommand",
    scope="instance",
    honoured=(
        "Type CommandContent ContentEncoding InstanceId.N Name Timeout KeepCommand Username ClientToken Tag.N.Key "
        "Tag.N.Value"
    ),
    ignored=(
        "WorkingDir Frequency ResourceGroupId RepeatMode Timed ContainerId Parameters Launcher ContainerName "
        "OssOutputDelivery Description WindowsPasswordName ResourceTag.N.Key ResourceTag.N.Value TerminationMode "
        "EnableParameter"
    ),
    changes=True,
)
def run_command(call: Call) -> Answer:
    """Send a command to up to 100 instances."""
    params, region = call.params, call.region
    kind = params.require("Type")
    if kind not in TYPES:
        raise common_error("InvalidCommand.TypeNotSupported")
    _check_content(call)
    ids = _instance_ids(call)
    command = Command(
        new_id("c", REGIONS[region.id].prefix),
        region.id,
        params.get("Name"),
        kind,
        _timeout(call, 60),
        bool(params.boolean("KeepCommand")),
        call.now,
    )
    invocation = _invoke(call, command, ids, command.timeout)
    region.add(command)
    return {"CommandId": command.id, "InvokeId": invocation.id}


@action(
    "InvokeCommand",
    scope="instance",
    honoured="CommandId InstanceId.N Timeout Username ClientToken Tag.N.Key Tag.N.Value",
    ignored=(
        "WorkingDir Frequency ResourceGroupId RepeatMode Timed ContainerId Parameters Launcher ContainerName "
        "OssOutputDelivery WindowsPasswordName ResourceTag.N.Key ResourceTag.N.Value TerminationMode"
    ),
    changes=True,
)
def invoke_command(call: Call) -> Answer:
    """Send a command that an earlier RunCommand kept."""
    command = call.region.commands.get(call.params.require("CommandId"))
    if command is None or not command.kept:
        raise common_error("InvalidCommandId.NotFound")
    invocation = _invoke(call, command, _instance_ids(call), _timeout(call, command.timeout))
    return {"CommandId": command.id, "InvokeId": invocation.id}


def _check_content(call: Call) -> None:
    content = call.params.require("CommandContent")
    if len(content) > MOST_CONTENT:
        raise common_error("CmdContent.ExceedLimit")
    if call.params.get("ContentEncoding") != "Base64":
        return
    try:
        base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise common_error("CmdContent.DecodeError") from None


def _instance_ids(call: Call) -> list[str]:
    ids = call.params.repeated("InstanceId")
    if not ids:
        raise missing("InstanceId.1")
    if len(ids) > 100:
        raise common_error("InstanceIds.ExceedLimit")
    if any(one not in call.region.instances for one in ids):
        raise common_error("InvalidInstanceId.NotFound")
    return ids


def _timeout(call: Call, default: int) -> int:
    seconds = call.params.integer("Timeout")
    if seconds is not None and not 1 <= seconds <= 86400:
        raise ApiError("InvalidTimeout", 400, 'The specified parameter "Timeout" is not valid.')
    return default if seconds is None else seconds


def _invoke(call: Call, command: Command, ids: list[str], timeout: int) -> Invocation:
    stuck = any(call.met("stuck", one) for one in ids)
    seconds = timeout / call.settings.speed if stuck else call.settings.lasts("command")
    invocation = Invocation(
        new_id("t", REGIONS[call.region.id].prefix),
        call.region.id,
        command.id,
        call.now,
        call.now + seconds,
        {one: _outcome(call, call.region.instances[one]) for one in ids},
        call.params.get("Username") or "root",
        dict(call.params.tags()),
    )
    call.region.add(invocation)
    call.effect = True
    return invocation


def _outcome(call: Call, instance: Instance) -> tuple[str, int, str]:
    """Return status, exit code and output that this instance will report."""
    system = instance.system.at(call.now)
    if instance.status.at(call.now) != "Running":
        return "Aborted", 0, "InstanceNotRunning"
    if call.met("stuck", instance.id):
        return "Timeout", 0, ""
    if call.met("serves_not", instance.id) or not system.serves:
        return "Failed", 1, "the service does not answer\n"
    return "Success", 0, "ok\n"


@action(
    "DescribeInvocationResults",
    scope="region",
    honoured=(
        "InvokeId InstanceId CommandId InvokeRecordStatus ContentEncoding PageNumber PageSize NextToken MaxResults "
        "Tag.N.Key Tag.N.Value"
    ),
    ignored="ResourceGroupId IncludeHistory",
)
def describe_invocation_results(call: Call) -> Answer:
    """List what each instance reported; an unknown InvokeId lists nothing."""
    params, region = call.params, call.region
    tests: list[Callable[[tuple[Invocation, str]], bool]] = []
    if instance_id := params.get("InstanceId"):
        tests.append(lambda row: row[1] == instance_id)
    if command_id := params.get("CommandId"):
        tests.append(lambda row: row[0].command_id == command_id)
    if tags := params.tags():
        tests.append(lambda row: tags_match(tags, row[0].tags))
    plain = params.choice("ContentEncoding", "PlainText", "Base64") == "PlainText"
    if wanted := params.choice("InvokeRecordStatus", "Running", "Finished", "Failed", "Stopped"):
        tests.append(lambda row: _result(*row, call.now, plain=plain)["InvokeRecordStatus"] == wanted)
    if invoke_id := params.get("InvokeId"):
        among = [region.invocations[invoke_id]] if invoke_id in region.invocations else []
    else:
        among = list(region.invocations.values())
    rows = [(invocation, one) for invocation in among for one in invocation.outcomes]
    found, fields = cut(page_of(params, most=50, tokens=True, most_by_token=50), rows, all_of(tests))
    results = [_result(*row, call.now, plain=plain) for row in found]
    return {"Invocation": {"InvocationResults": {"InvocationResult": results}, **fields}}


def _result(invocation: Invocation, instance_id: str, now: float, *, plain: bool) -> dict[str, Any]:
    status, exit_code, output = invocation.outcomes[instance_id]
    aborted = status == "Aborted"
    done = aborted or invocation.done_at <= now
    text = output if done and not aborted else ""
    code = {"Failed": "ExitCodeNonzero", "Aborted": output}.get(status, "") if done else ""
    return {
        "InvokeId": invocation.id,
        "CommandId": invocation.command_id,
        "InstanceId": instance_id,
        "InvocationStatus": status if done else "Running",
        "InvokeRecordStatus": RECORD_STATUS[status] if done else "Running",
        "ExitCode": exit_code if done else 0,
        "ErrorCode": code,
        "ErrorInfo": {"Aborted": "The instance is not running.", "Failed": "The exit code is not 0."}.get(status, "")
        if done
        else "",
        "Output": text if plain else base64.b64encode(text.encode()).decode(),
        "Dropped": 0,
        "Repeats": 0 if aborted else 1,
        "StartTime": "" if aborted else to_second(invocation.created_at),
        "FinishedTime": to_second(invocation.created_at if aborted else invocation.done_at) if done else "",
        "StopTime": "",
        "Username": invocation.username,
        "Tags": {"Tag": [{"TagKey": key, "TagValue": value} for key, value in invocation.tags.items()]},
    }


@action(
    "DescribeCloudAssistantStatus",
    scope="region",
    honoured="InstanceId.N OSType PageNumber PageSize NextToken MaxResults",
)
def describe_cloud_assistant_status(call: Call) -> Answer:
    """List whether the agent of each instance is connected: it is while the machine runs."""
    ids = call.params.repeated("InstanceId")
    if len(ids) > 100:
        raise common_error("NumberExceed.InstanceIds")
    os_type = call.params.get("OSType").lower()
    region, now = call.region, call.now
    among = [region.instances[i] for i in ids if i in region.instances] if ids else region.instance_order
    page = page_of(call.params, most=100 if ids else 50, default=100 if ids else 10, tokens=True, most_by_token=50)
    if ids and page.by_token:
        page = page_of(type(call.params)({}), default=100)
    wanted = (lambda one: one.system.at(now).os_type == os_type) if os_type else None
    found, fields = cut(page, among, wanted)
    return {
        "InstanceCloudAssistantStatusSet": {"InstanceCloudAssistantStatus": [_agent(one, now) for one in found]},
        **fields,
    }


def _agent(instance: Instance, now: float) -> dict[str, Any]:
    system = instance.system.at(now)
    runs = instance.status.at(now) == "Running" and system.boots
    return {
        "InstanceId": instance.id,
        "CloudAssistantStatus": "true" if runs else "false",
        "CloudAssistantVersion": "2.2.3.857",
        "OSType": "Windows" if system.os_type == "windows" else "Linux",
        "LastHeartbeatTime": to_second(now if runs else instance.status.pairs[-1][0]),
        "LastInvokedTime": "",
        "ActiveTaskCount": 0,
        "InvocationCount": 0,
        "SupportSessionManager": True,
    }
