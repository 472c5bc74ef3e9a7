"""Thousands of malformed requests: each ends in an error of the vendor's form, none in a traceback, a 5xx of ours, or a hang."""

import json
import random
import socket
import string
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from typing import Any
from urllib.parse import quote

import pytest

from fleet.emulator.contract.registry import ACTIONS
from tests.emulator.caller import EXAMPLE, FORM, Emulated, encode, signed
from tests.emulator.running import Running, running

SEED = 20261123
VALUES = (
    "",
    " ",
    "0",
    "-1",
    "9" * 30,
    "1e9",
    "NaN",
    "true",
    "TRUE",
    "null",
    "[]",
    "{}",
    '["i-1"',
    '["i-23jggx34b"]',
    '[["i"]]',
    '[{"a":1}]',
    "[" * 3000,
    "i-23jggx34b",
    "m-myimage11",
    "cn-hangzhou",
    "..%2f..%2fetc",
    "\x00",
    "\x0b\x1f",
    "\ufffe",
    "\u202e",
    "💥",
    "ä" * 40,
    "'; DROP TABLE resource; --",
    "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
    "%",
    "%zz",
    "A" * 5000,
    "*" * 200,
    "{name}",
    "%s%n",
)
NAMES = (
    "Tag.1.Key",
    "Tag.x.Key",
    "Tag.99999999999999999999.Key",
    "Tag.1.Key.1",
    "InstanceId.0",
    "InstanceId.-1",
    "InstanceId.1.2",
    "InstanceId.",
    ".InstanceId",
    "InstanceId[0]",
    "instanceid",
    "",
    "=",
    "Filter.1.Key",
    "Format",
    "Signature",
    "Timestamp",
    "SignatureNonce",
    "AccessKeyId",
    "Version",
    "\x00",
    "💥",
    "N" * 3000,
)


def check(status: int, content_type: str, text: str) -> str:
    """Check that an answer is a success or an error in the vendor's form; return its code."""
    assert status != 500
    assert status < 500, text[:300]
    assert "Traceback" not in text
    if content_type.startswith("application/json"):
        data = json.loads(text)
    else:
        assert content_type.startswith("text/xml"), content_type
        root = ElementTree.fromstring(text)
        data = {child.tag: child.text or "" for child in root}
        assert root.tag == "Error" or status == 200
    assert data["RequestId"]
    if status == 200:
        return ""
    assert set(data) == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert data["Code"]
    return str(data["Code"])


def broken_parameters(rng: random.Random) -> dict[str, str]:
    """Draw parameters that are wrong in some way for some action."""
    action = ACTIONS[rng.choice(sorted(ACTIONS))]
    values = {"Action": action.name, "RegionId": rng.choice(("cn-hangzhou", "cn-hangzhou", "", "x"))}
    if rng.random() < 0.5:
        values |= EXAMPLE
    known = sorted(action.known)
    for _ in range(rng.randint(1, 6)):
        name = rng.choice(known) if known and rng.random() < 0.8 else rng.choice(NAMES)
        values[name.replace(".N", f".{rng.choice((0, 1, 2, 100))}")] = rng.choice(VALUES)
    if rng.random() < 0.1:
        values["Format"] = rng.choice(("JSON", "json", "XML", "YAML", " "))
    return values


def test_signed_and_malformed() -> None:
    """7,000 well-signed requests with parameters that are wrong: they reach the actions themselves."""
    rng = random.Random(SEED)
    emu = Emulated.make(instances=25)
    codes: Counter[str] = Counter()
    for _ in range(7000):
        values = broken_parameters(rng)
        if "Signature" in values:
            del values["Signature"]
        full = signed("POST", values, at=emu.clock.now())
        body = encode(full)
        response = emu.client.post("/", data=body, content_type=FORM)
        codes[check(response.status_code, response.content_type, response.text)] += 1
    assert len(codes) > 25, codes
    assert codes["SignatureDoesNotMatch"] < 100, codes
    assert codes["InternalError"] == 0


def junk(rng: random.Random, most: int) -> bytes:
    return bytes(rng.randrange(256) for _ in range(rng.randrange(most)))


def broken_request(rng: random.Random, now: float) -> dict[str, Any]:
    """Draw a request that is broken below its parameters: encoding, body, headers, method, path."""
    full = signed("GET", broken_parameters(rng), at=now)
    query = encode(full)
    cut = rng.randrange(len(query))
    kinds: list[dict[str, Any]] = [
        {"query_string": query[:cut]},
        {"query_string": query[:cut] + quote(junk(rng, 9)) + query[cut:]},
        {"query_string": query + "&" + query},
        {"query_string": "&".join(["a=1"] * rng.choice((1, 3000)))},
        {"query_string": quote(junk(rng, 60), safe="=&%")},
        {"method": "POST", "data": junk(rng, 400), "content_type": rng.choice((FORM, "application/json", "x", ""))},
        {"method": "POST", "data": query.encode()[:cut], "content_type": FORM},
        {
            "method": "POST",
            "data": b"",
            "content_type": FORM,
            "headers": {"Content-Length": rng.choice(("-1", "x", "9" * 12))},
        },
        {"method": rng.choice(("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW")), "query_string": query},
        {"path": rng.choice(("/x", "//", "/..%2f", "/__emulator", "/\u20ac", "/%00")), "query_string": query},
        {"headers": {"Authorization": "ACS3-HMAC-SHA256 " + rng.choice(VALUES[:20]).replace("\x00", "")}},
        {"headers": {"x-acs-date": "2026", "x-acs-action": "".join(rng.choices(string.printable[:90], k=20))}},
        {
            "headers": {
                "Accept": rng.choice(("application/json", "text/xml", "*/*;q=x")),
                "Host": rng.choice(("", "x" * 300)),
            }
        },
    ]
    return {"path": "/", "method": "GET", **rng.choice(kinds)}


def test_broken_requests() -> None:
    """3,000 requests that nobody signed properly, or that are hardly requests."""
    rng = random.Random(SEED + 1)
    emu = Emulated.make(instances=1)
    codes: Counter[str] = Counter()
    for _ in range(3000):
        response = emu.client.open(**broken_request(rng, emu.clock.now()))
        codes[check(response.status_code, response.content_type, response.text)] += 1
    assert len(codes) >= 8, codes
    assert codes["InternalError"] == 0
    assert emu.told("GET", "ledger?since=seed")["disks"] == []


def talk(emulator: Running, sent: bytes) -> bytes:
    """Send bytes, end our side, and return all that comes back; a hang fails."""
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        received = b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        except ConnectionError:
            return received
    return received


def raw_requests(rng: random.Random) -> list[bytes]:
    head = b"Host: x\r\n\r\n"
    made = [
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n" + head,
        b"GET / HTTP/x\r\n" + head,
        b"GET http://[ HTTP/1.1\r\n" + head,
        b"GET http://[/ HTTP/1.1\r\n" + head,
        b"GET //[ HTTP/1.1\r\n" + head,
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n" + head,
        b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: v\r\n" % n for n in range(300)) + b"\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"a" * 70000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n\xff\xfe: \x00\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 50\r\n\r\nshort",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nx",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nab",
        b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: x\r\n\r\nx",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    good = b"GET /?Action=DescribeRegions&Format=JSON HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
    for _ in range(300):
        spoilt = bytearray(good)
        for _ in range(rng.randint(1, 8)):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        made.append(bytes(spoilt))
    made += [junk(rng, 500) for _ in range(100)]
    return made


@pytest.mark.process
def test_raw_bytes() -> None:
    """Hundreds of sockets with what is hardly HTTP: an answer in the vendor's form, whole; nothing only for nothing sent."""
    answered = 0
    with running(instances=1) as emulator:
        for sent in raw_requests(random.Random(SEED + 2)):
            received = talk(emulator, sent)
            if not received:
                assert not sent.strip(), sent[:200]
                continue
            answered += 1
            head, _, body = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1."), (sent[:200], received[:200])
            status = int(head.split(b" ", 2)[1])
            content_type = next(
                line.split(b":", 1)[1].strip().decode()
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-type:")
            )
            if not sent.startswith(b"HEAD "):
                assert check(status, content_type, body.decode()), sent[:200]
        assert emulator.control("GET", "health")["status"] == "ok"
        code, out, err = emulator.end()
    assert (code, out, err) == (0, "", "")
    assert answered > 200


@pytest.mark.process
def test_a_peer_that_waits_to_be_told_is_told_at_once() -> None:
    """curl sends a larger body only after `100 Continue`, or after a second of silence."""
    with running(instances=1) as emulator, socket.create_connection(("127.0.0.1", emulator.port), timeout=5) as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert peer.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(b"a=1")
        assert peer.recv(65536).startswith(b"HTTP/1.1 400 ")


@pytest.mark.process
def test_a_silent_peer_holds_nobody_up() -> None:
    with running(instances=1) as emulator:
        silent = [socket.create_connection(("127.0.0.1", emulator.port), timeout=10) for _ in range(30)]
        try:
            for one in silent[:15]:
                one.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
            began = time.monotonic()
            assert emulator.call("DescribeRegions").status == 200
            assert time.monotonic() - began < 5
            assert emulator.end()[0] == 0
        finally:
            for one in silent:
                one.close()
