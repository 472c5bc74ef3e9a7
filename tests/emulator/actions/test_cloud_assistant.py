"""Cloud Assistant: commands sent, what each machine reports, and what is refused."""

from typing import Any

from tests.emulator.caller import EXAMPLE, Emulated

ME = EXAMPLE["InstanceId"]


def test_cloud_assistant(emu: Emulated) -> None:
    emu.told("PUT", "durations", {"start": 0})
    emu.ok("StartInstance", InstanceId=ME)
    windows_and_linux = emu.ok("DescribeCloudAssistantStatus", {"InstanceId.1": ME})
    (agent,) = windows_and_linux["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"]
    assert (agent["CloudAssistantStatus"], agent["OSType"]) == ("true", "Linux")
    stopped = emu.tagged("DiskCreatingSnapshot")
    request = {
        "Type": "RunShellScript",
        "CommandContent": "ZWNobw==",
        "ContentEncoding": "Base64",
        "KeepCommand": "true",
    }
    sent = emu.ok("RunCommand", {**request, "InstanceId.1": ME, "InstanceId.2": stopped})

    def results(invoke_id: str) -> dict[str, dict[str, Any]]:
        answer = emu.ok("DescribeInvocationResults", InvokeId=invoke_id)["Invocation"]["InvocationResults"]
        return {one["InstanceId"]: one for one in answer["InvocationResult"]}

    first = results(sent["InvokeId"])
    assert first[ME]["InvokeRecordStatus"] == "Running"
    assert (first[stopped]["InvocationStatus"], first[stopped]["ErrorCode"]) == ("Aborted", "InstanceNotRunning")
    emu.pass_time(2)
    done = results(sent["InvokeId"])[ME]
    assert (done["InvokeRecordStatus"], done["InvocationStatus"], done["ExitCode"]) == ("Finished", "Success", 0)
    assert done["Output"] == "b2sK"
    again = emu.ok("InvokeCommand", {"CommandId": sent["CommandId"], "InstanceId.1": ME})
    assert results(again["InvokeId"])[ME]["InvokeRecordStatus"] == "Running"
    emu.told("POST", "faults", {"kind": "stuck", "action": "InvokeCommand"})
    late = emu.ok("InvokeCommand", {"CommandId": sent["CommandId"], "InstanceId.1": ME, "Timeout": "100"})
    emu.pass_time(99)
    assert results(late["InvokeId"])[ME]["InvocationStatus"] == "Running"
    emu.pass_time(1)
    assert results(late["InvokeId"])[ME]["InvocationStatus"] == "Timeout"
    for change, code in (
        ({"Type": "RunPoem"}, "InvalidCommand.TypeNotSupported"),
        ({"CommandContent": "%%%"}, "CmdContent.DecodeError"),
        ({"CommandContent": "A" * 30000}, "CmdContent.ExceedLimit"),
        ({"Timeout": "0"}, "InvalidTimeout"),
        ({"InstanceId.2": "i-nobody"}, "InvalidInstanceId.NotFound"),
        ({"InstanceId.1": ""}, "MissingParameter"),
    ):
        values = {"RegionId": "cn-hangzhou", **request, "InstanceId.1": ME, **change}
        response = emu.send("RunCommand", where="form", Format="JSON", **values)
        assert response.json is not None
        assert response.json["Code"] == code
    assert emu.call("InvokeCommand", {"CommandId": "c-none", "InstanceId.1": ME}).code == "InvalidCommandId.NotFound"
