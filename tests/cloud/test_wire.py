"""What leaves the machine: no password in a URL, a log or an error; HTTPS, tokens and modes where they must
be.
"""

import logging
import socket
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from fleet.cloud import CloudError, Credential, EcsClient, Retryability
from fleet.lib.secret import Secret
from tests.cloud.conftest import Connect, plain
from tests.cloud.recorder import Recorder, recording
from tests.support.emulator import Emulator

PASSWORD = "Sup3r!Secret&Value+1"
FORMS = [PASSWORD, quote(PASSWORD, safe=""), quote(quote(PASSWORD, safe=""), safe="")]


def replace(client: EcsClient, **given: Any) -> object:
    options: dict[str, Any] = {
        "instance_id": "i-23jggx34b",
        "image_id": "m-myimage11",
        "client_token": "token-1",
        "password": Secret(PASSWORD),
    }
    return client.replace_system_disk(**{**options, **given})


def queries(recorder: Recorder, action: str) -> list[dict[str, list[str]]]:
    found = [parse_qs(urlsplit(line.split()[1]).query) for line in recorder.request_lines]
    return [each for each in found if each["Action"] == [action]]


def assert_silent(text: str) -> None:
    for form in FORMS:
        assert form not in text
    assert "/?" not in text
    assert "Signature=" not in text


def test_password_travels_in_the_body_alone(
    emulator: Emulator, connect: Connect, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = connect(endpoint=f"127.0.0.1:{recorder.port}")
    machine = plain(client, status="Stopped")[0]
    replace(client, instance_id=machine.instance_id, image_id=machine.image_id)
    assert quote(PASSWORD, safe="").encode() in recorder.sent
    for line in recorder.request_lines:
        assert_silent(line.replace("/?", "").replace("Signature=", ""))
    assert emulator.ledger()["logins"][machine.instance_id]["password_set"] is True
    assert not any(form in str(emulator.journal()) for form in FORMS)
    assert_silent(caplog.text)


@pytest.mark.parametrize("reply", ["none", "hangs up"])
def test_network_fault_says_nothing_of_the_password(
    connect: Connect,
    reply: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DEBUG", "sdk")
    with recording(None) as nobody:
        port = nobody.port
        if reply == "none":
            nobody.close()
        with pytest.raises(CloudError) as caught:
            replace(connect(endpoint=f"127.0.0.1:{port}"))
    error = caught.value
    assert error.code == "SDK.HttpError"
    assert error.retryability is Retryability.UNKNOWN_OUTCOME
    assert error.__cause__ is None
    assert error.__context__ is None
    for text in (str(error), repr(error), error.message, caplog.text, *capfd.readouterr()):
        assert_silent(text)


def test_debug_variable_of_the_sdk_prints_nothing(
    client: EcsClient, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEBUG", "sdk")
    client.describe_regions()
    assert capfd.readouterr() == ("", "")


def test_wrong_secret_does_not_echo_the_request(connect: Connect) -> None:
    client = connect(credential=Credential("emulator", Secret("another-secret")))
    with pytest.raises(CloudError) as caught:
        replace(client)
    assert caught.value.code in ("SignatureDoesNotMatch", "InvalidAccessKeySecret", "IncompleteSignature")
    assert caught.value.retryability is Retryability.REFUSED
    assert_silent(str(caught.value))


def test_token_leaves_with_every_replacement(connect: Connect, recorder: Recorder) -> None:
    client = connect(endpoint=f"127.0.0.1:{recorder.port}")
    machine = plain(client, status="Stopped")[0]
    for token in ("one", "x" * 64):
        replace(client, instance_id=machine.instance_id, image_id=machine.image_id, client_token=token)
    assert [each["ClientToken"] for each in queries(recorder, "ReplaceSystemDisk")] == [["one"], ["x" * 64]]


@pytest.mark.parametrize("token", ["", "x" * 65, "tökén"])
def test_replacement_without_a_good_token_is_not_sent(emulator: Emulator, client: EcsClient, token: str) -> None:
    with pytest.raises(ValueError, match="ClientToken"):
        replace(client, client_token=token)
    assert emulator.journal() == []


def test_stop_keeps_charging_and_lets_good_ones_through(connect: Connect, recorder: Recorder) -> None:
    client = connect(endpoint=f"127.0.0.1:{recorder.port}")
    machine = plain(client)[0]
    client.stop_instances(ids=[machine.instance_id])
    client.start_instances(ids=[machine.instance_id])
    (stop,), (start,) = queries(recorder, "StopInstances"), queries(recorder, "StartInstances")
    assert stop["StoppedMode"] == ["KeepCharging"]
    assert stop["BatchOptimization"] == start["BatchOptimization"] == ["SuccessFirst"]


def test_user_agent_names_the_program(connect: Connect, recorder: Recorder) -> None:
    connect(endpoint=f"127.0.0.1:{recorder.port}").describe_regions()
    assert b" FleetOS/" in recorder.sent


def test_environment_beats_neither_key_nor_loopback(
    emulator: Emulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_ID", "somebody-else")
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_SECRET", "wrong")
    with recording(None) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert connect().describe_regions()
        assert proxy.sent == b""
    assert {each["access_key_id"] for each in emulator.journal()} == {"emulator"}


def test_temporary_credential_wins_over_the_environment_and_stays_out_of_the_url(
    connect: Connect, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_ID", "somebody-else")
    monkeypatch.setenv("ALIYUN_ACCESS_KEY_SECRET", "wrong")
    credential = Credential("emulator", Secret("emulator-secret"), Secret("the-token"))
    client = connect(endpoint=f"127.0.0.1:{recorder.port}", credential=credential)
    # Whether a token is welcome with this key is the other side's affair; what is sent is ours.
    try:
        client.describe_regions()
    except CloudError as error:
        assert "the-token" not in str(error)
    assert b"SecurityToken=the-token" in recorder.sent
    assert "the-token" not in "".join(recorder.request_lines)
    assert "AccessKeyId=emulator&" in recorder.request_lines[0]
    assert "the-token" not in repr(credential)
    assert "emulator-secret" not in repr(credential)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:80", "a/b", "user@host:1", "host:port", "h?x"])
def test_endpoint_is_host_and_port(connect: Connect, endpoint: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        connect(endpoint=endpoint)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the SDK's old urllib3
def test_anything_else_is_spoken_to_in_tls(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def here(host: Any, *rest: Any, **more: Any) -> Any:
        return real("127.0.0.1" if host == "ecs.example.com" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with recording(None) as peer, pytest.raises(CloudError):
        replace(connect(endpoint=f"ecs.example.com:{peer.port}"))
    assert peer.sent[:2] == b"\x16\x03"  # a TLS handshake, and nothing of the request
    assert b"ecs.example.com" in peer.sent  # whose certificate is asked for
    assert PASSWORD.encode() not in peer.sent


def test_password_over_plain_http_elsewhere_is_refused_unsent(connect: Connect) -> None:
    client = connect(endpoint="ecs.example.com:80")
    client._protocol = "http"  # what nothing in the program does
    with pytest.raises(CloudError) as caught:
        replace(client)
    assert caught.value.code == "FleetOS.PlainHttp"
    assert caught.value.retryability is Retryability.REFUSED


def test_calls_are_told_before_they_leave(connect: Connect, emulator: Emulator) -> None:
    told: list[tuple[str, bool]] = []
    client = connect(on_call=lambda action, mutating: told.append((action, mutating)))
    client.describe_regions()
    with pytest.raises(CloudError):
        client.attach_key_pair(name="no-such-pair", ids=["i-23jggx34b"])
    assert told == [("DescribeRegions", False), ("AttachKeyPair", True)]


def test_what_the_listener_raises_stops_the_call(connect: Connect, emulator: Emulator) -> None:
    def full(action: str, mutating: bool) -> None:
        raise RuntimeError("the window is full")

    with pytest.raises(RuntimeError, match="the window is full"):
        connect(on_call=full).describe_regions()
    assert emulator.journal() == []
