"""Who is let in: both signatures with the vendor's published vectors, nonces, clocks, keys."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from fleet.emulator.wire.access import AccessKey
from fleet.emulator.wire.signature import sign_v1, sign_v3, string_to_sign_v1, string_to_sign_v3
from tests.emulator.caller import FORM, START, Answer, Emulated, encode, signed

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
STAMP = "2026-11-23T02:13:20Z"


def test_published_vector_v1() -> None:
    values = {
        "AccessKeyId": "testid",
        "Action": "DescribeRegions",
        "Format": "XML",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        "SignatureVersion": "1.0",
        "Timestamp": "2016-02-23T12:46:24Z",
        "Version": "2014-05-26",
    }
    text = string_to_sign_v1(method="GET", values=values)
    assert sign_v1(secret="testsecret", string_to_sign=text) == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_published_vector_v3() -> None:
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": EMPTY,
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-version": "2014-05-26",
    }
    text = string_to_sign_v3(
        method="POST",
        path="/",
        query={"ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", "RegionId": "cn-shanghai"},
        headers=headers,
        signed=sorted(headers),
        body_sha256=EMPTY,
    )
    expected = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    assert sign_v3(secret="YourAccessKeySecret", string_to_sign=text) == expected


@pytest.mark.parametrize(("method", "where"), [("GET", "query"), ("POST", "query"), ("POST", "form")])
def test_parameters_may_sit_in_address_or_body(emu: Emulated, method: str, where: str) -> None:
    odd = "web *~ä中'\"+%&="
    response = emu.send(
        "DescribeInstances", method=method, where=where, Format="JSON", RegionId="cn-hangzhou", InstanceName=odd
    )
    assert response.status_code == 200, response.text
    assert emu.last_call()["params"]["InstanceName"] == odd


def test_parameters_may_sit_in_both(emu: Emulated) -> None:
    full = signed("POST", {"Action": "DescribeRegions", "Format": "JSON", "ResourceType": "instance"}, at=START)
    split = {name: full.pop(name) for name in ("ResourceType", "SignatureNonce")}
    response = emu.client.open(f"/?{encode(full)}", method="POST", data=encode(split), content_type=FORM)
    assert response.status_code == 200, response.text


def send_v1(emu: Emulated, values: dict[str, str], method: str = "GET") -> Answer:
    response = emu.client.open(f"/?{encode(values)}", method=method)
    return Answer(response.status_code, response.text, json.loads(response.text))


def base(**more: str) -> dict[str, str]:
    return signed("GET", {"Action": "DescribeRegions", "Format": "JSON", **more}, at=START)


COMMON = (
    *("Action", "Version", "AccessKeyId", "SignatureMethod"),
    *("SignatureVersion", "SignatureNonce", "Timestamp", "Signature"),
)


@pytest.mark.parametrize("name", COMMON)
def test_missing_common_parameter(emu: Emulated, name: str) -> None:
    values = base()
    del values[name]
    answer = send_v1(emu, values)
    assert (answer.status, answer.code) == (400, "MissingParameter")
    assert f'"{name}"' in answer.message


MALFORMED = [
    ({"SignatureMethod": "HMAC-MD5"}, 400, "InvalidSignatureMethod"),
    ({"SignatureVersion": "2.0"}, 400, "InvalidParameter"),
    ({"Timestamp": "yesterday"}, 400, "InvalidTimeStamp.Format"),
    ({"Timestamp": "2026-11-23T02:28:21Z"}, 400, "InvalidTimeStamp.Expired"),
    ({"Timestamp": "2026-11-23T01:58:19Z"}, 400, "InvalidTimeStamp.Expired"),
    ({"AccessKeyId": "nobody"}, 404, "InvalidAccessKeyId.NotFound"),
    ({"SecurityToken": "abc"}, 400, "InvalidSecurityToken.MismatchWithAccessKey"),
    ({"Format": "YAML"}, 400, "InvalidParameter.Format"),
    ({"Action": "DropEverything"}, 400, "InvalidParameter"),
    ({"Version": "2011-01-01"}, 400, "InvalidParameter"),
]


@pytest.mark.parametrize(
    ("wrong", "status", "code"), MALFORMED, ids=[str(next(iter(one[0].items()))) for one in MALFORMED]
)
def test_malformed_common_parameter(emu: Emulated, wrong: dict[str, str], status: int, code: str) -> None:
    response = emu.client.open(f"/?{encode(base(**wrong))}")
    assert response.status_code == status
    assert code in response.text


@pytest.mark.parametrize("stamp", ["2026-11-23T02:28:20Z", "2026-11-23T01:58:20Z"])
def test_a_clock_may_be_wrong_by_15_minutes(emu: Emulated, stamp: str) -> None:
    assert send_v1(emu, base(Timestamp=stamp)).status == 200


def test_a_nonce_is_good_once(emu: Emulated) -> None:
    values = base()
    assert send_v1(emu, values).status == 200
    again = send_v1(emu, values)
    assert (again.status, again.code) == (400, "SignatureNonceUsed")


def test_a_refused_signature_does_not_use_up_a_nonce(emu: Emulated) -> None:
    values = base()
    assert send_v1(emu, {**values, "Signature": "AAAA"}).code == "SignatureDoesNotMatch"
    assert send_v1(emu, values).status == 200


def test_wrong_signature_shows_what_was_to_be_signed(emu: Emulated) -> None:
    values = base()
    answer = send_v1(emu, {**values, "Signature": "AAAA"})
    del values["Signature"]
    assert (answer.status, answer.code) == (400, "SignatureDoesNotMatch")
    _, _, shown = answer.message.partition("server string to sign is:")
    assert shown == f"GET&%2F&{quote(encode(values), safe='~')}"


def test_a_changed_parameter_breaks_the_signature(emu: Emulated) -> None:
    assert send_v1(emu, {**base(), "ResourceType": "disk"}).code == "SignatureDoesNotMatch"


def test_the_signature_covers_the_method(emu: Emulated) -> None:
    assert send_v1(emu, base(), method="POST").code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods(emu: Emulated, method: str) -> None:
    answer = send_v1(emu, base(), method=method)
    assert (answer.status, answer.code) == (400, "UnsupportedHTTPMethod")


def test_other_paths(emu: Emulated) -> None:
    response = emu.client.get("/ecs/v1")
    assert response.status_code == 404
    assert "InvalidApi.NotFound" in response.text


def test_sts_keys() -> None:
    emu = Emulated.make(
        instances=1, keys=[AccessKey("STS.1", "s", "token-1"), AccessKey("emulator", "emulator-secret")]
    )
    values = {"Action": "DescribeRegions", "Format": "JSON"}
    good = signed("GET", {**values, "SecurityToken": "token-1"}, at=START, key="STS.1", secret="s")
    assert send_v1(emu, good).status == 200
    bad = signed("GET", {**values, "SecurityToken": "token-2"}, at=START, key="STS.1", secret="s")
    assert send_v1(emu, bad).code == "InvalidSecurityToken.MismatchWithAccessKey"
    assert "token-1" not in str(emu.told("GET", "journal"))


def v3(emu: Emulated, *, drop: str = "", body: bytes = b"", **changed: str) -> Iterator[Answer]:
    """Yield the answer to a v3 call, and to the very same call again."""
    query = "RegionId=cn-hangzhou&InstanceName=a%20b%2A"
    headers = {
        "host": "localhost",
        "x-acs-action": "DescribeInstances",
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-acs-date": STAMP,
        "x-acs-signature-nonce": "n-1",
        "x-acs-version": "2014-05-26",
        "accept": "application/json",
    }
    headers = {name: changed.pop(name.replace("-", "_"), value) for name, value in headers.items()}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = "&".join(sorted(query.split("&")))
    request = f"POST\n/\n{canonical}\n{lines}\n{names}\n{headers['x-acs-content-sha256']}"
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(request.encode()).hexdigest()}"
    sign = hmac.new(b"emulator-secret", text.encode(), hashlib.sha256).hexdigest()
    given = f"ACS3-HMAC-SHA256 Credential={changed.pop('key', 'emulator')},SignedHeaders={names},Signature={sign}"
    headers["authorization"] = changed.pop("authorization", given)
    headers.pop(drop, None)
    for _ in range(2):
        # A space may come as + on the wire; it is signed as %20.
        response = emu.client.open(f"/?{query.replace('%20', '+')}", method="POST", headers=headers, data=body)
        yield Answer(
            response.status_code, response.text, json.loads(response.text) if "json" in headers["accept"] else {}
        )


def test_v3_and_its_nonce(emu: Emulated) -> None:
    first, again = v3(emu)
    assert first.status == 200, first.text
    assert emu.told("GET", "journal")["entries"][0]["params"]["InstanceName"] == "a b*"
    assert again.code == "SignatureNonceUsed"


V3_WRONG = [
    ({"x_acs_date": "2026-11-23T03:13:20Z"}, "InvalidTimeStamp.Expired"),
    ({"x_acs_date": "now"}, "InvalidTimeStamp.Format"),
    ({"key": "nobody"}, "InvalidAccessKeyId.NotFound"),
    ({"authorization": "ACS3-HMAC-SHA256 nonsense"}, "IncompleteSignature"),
    ({"x_acs_content_sha256": EMPTY[::-1]}, "SignatureDoesNotMatch"),
    ({"x_acs_action": "DropEverything"}, "InvalidParameter"),
    ({"x_acs_version": "2011-01-01"}, "InvalidParameter"),
    ({"drop": "x-acs-signature-nonce"}, "MissingParameter"),
    ({"drop": "authorization"}, "MissingParameter"),
]


@pytest.mark.parametrize(("wrong", "code"), V3_WRONG, ids=[str(next(iter(one[0].items()))) for one in V3_WRONG])
def test_v3_refusals(emu: Emulated, wrong: dict[str, str], code: str) -> None:
    answer, _ = v3(emu, **wrong)  # type: ignore[arg-type]
    assert answer.code == code, answer.text


def test_v3_signature_over_another_body(emu: Emulated) -> None:
    answer, _ = v3(emu, body=b"abc", x_acs_content_sha256=EMPTY)
    assert answer.code == "SignatureDoesNotMatch"
