"""An emulator inside the test: signed calls to its WSGI application, as text and as data."""

import base64
import hashlib
import hmac
import json
import uuid
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from werkzeug.test import Client, TestResponse

from fleet.emulator.app import Application
from fleet.emulator.provider import Provider
from fleet.emulator.wire.access import AccessKey, Authenticator
from fleet.emulator.world.clock import Clock
from fleet.emulator.world.settings import Settings

START = 1_795_400_000.0  # 2026-11-23T02:13:20Z
EXAMPLE = {"InstanceId": "i-23jggx34b", "ImageId": "m-myimage11"}
FORM = "application/x-www-form-urlencoded"


def encode(values: dict[str, str]) -> str:
    """Encode parameters as the signature wants them."""
    return "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(values.items()))


def signed(
    method: str, values: dict[str, str], *, at: float, key: str = "emulator", secret: str = ""
) -> dict[str, str]:
    """Add the common parameters and a v1 signature; what `values` has already stays."""
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    full = {
        "Version": "2014-05-26",
        "AccessKeyId": key,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": uuid.uuid4().hex,
        "Timestamp": stamp,
        **values,
    }
    text = f"{method}&%2F&{quote(encode(full), safe='~')}"
    digest = hmac.new(((secret or "emulator-secret") + "&").encode(), text.encode(), hashlib.sha1).digest()
    return {**full, "Signature": base64.b64encode(digest).decode()}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    text: str
    data: dict[str, Any]

    @property
    def code(self) -> str:
        return str(self.data.get("Code", ""))

    @property
    def message(self) -> str:
        return str(self.data.get("Message", ""))


@dataclass
class Emulated:
    """One emulator, its clock, and a client of it."""

    provider: Provider
    clock: Clock
    app: Application
    client: Client

    @classmethod
    def make(cls, *, state: Any = None, keys: list[AccessKey] | None = None, **settings: Any) -> "Emulated":
        clock = Clock(frozen_at=START)
        provider = Provider(settings=Settings(**{"instances": 40, **settings}), clock=clock, state=state)
        authenticator = Authenticator(keys or [AccessKey("emulator", "emulator-secret")])
        app = Application(provider=provider, authenticator=authenticator)

        def here(environ: dict[str, Any], start: Any) -> Any:
            return app({"REMOTE_ADDR": "127.0.0.1", **environ}, start)

        return cls(provider, clock, app, Client(here))

    def fresh(self, *, instances: int) -> None:
        """Begin again with so many machines, at the same time, with nobody known by their nonces, whatever a test has set."""
        self.clock.advance(seconds=START - self.clock.now())
        self.app.authenticator = Authenticator([AccessKey("emulator", "emulator-secret")])
        self.provider.settings = Settings(instances=instances, token_key=self.provider.settings.token_key)
        self.provider.reset()

    def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        self.clock.advance(seconds=seconds)

    def send(self, action: str, *, method: str = "POST", where: str = "query", **values: str) -> TestResponse:
        """Send a signed call; `where` is query or form."""
        full = signed(method, {"Action": action, **values}, at=self.clock.now())
        body = encode(full)
        if where == "query":
            return self.client.open(f"/?{body}", method=method)
        return self.client.open("/", method=method, data=body, content_type=FORM)

    def call(self, action: str, values: dict[str, str] | None = None, **more: str) -> Answer:
        """Send a call and read JSON."""
        response = self.send(action, Format="JSON", **(values or {}), **more)
        return Answer(response.status_code, response.text, json.loads(response.text))

    def xml(self, action: str, values: dict[str, str] | None = None, **more: str) -> tuple[int, ElementTree.Element]:
        """Send a call without Format and read XML."""
        response = self.send(action, **(values or {}), **more)
        assert response.content_type.startswith("text/xml")
        return response.status_code, ElementTree.fromstring(response.text)

    def ok(self, action: str, values: dict[str, str] | None = None, **more: str) -> dict[str, Any]:
        """Send a call that must succeed."""
        answer = self.call(action, {"RegionId": "cn-hangzhou", **(values or {})}, **more)
        assert answer.status == 200, answer.text
        return answer.data

    def instance(self, instance_id: str) -> dict[str, Any]:
        """Describe one instance."""
        found = self.ok("DescribeInstances", InstanceIds=json.dumps([instance_id]))["Instances"]["Instance"]
        assert len(found) == 1
        return dict(found[0])

    def disks(self, instance_id: str, kind: str = "system") -> list[dict[str, Any]]:
        """Describe the disks of one instance."""
        return list(self.ok("DescribeDisks", InstanceId=instance_id, DiskType=kind)["Disks"]["Disk"])

    def tagged(self, code: str) -> str:
        """Return the instance tagged case=<code>."""
        tag = {"Tag.1.Key": "case", "Tag.1.Value": code}
        found = self.ok("DescribeInstances", tag)["Instances"]["Instance"]
        assert len(found) == 1, f"{len(found)} instances tagged case={code}"
        return str(found[0]["InstanceId"])

    def control(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Call the control API."""
        response = self.client.open(
            f"/__emulator__/{path}",
            method=method,
            data=None if body is None else json.dumps(body),
            headers=headers,
        )
        return response.status_code, json.loads(response.text) if "json" in (
            response.content_type or ""
        ) else response.text

    def told(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control API, which must agree."""
        status, data = self.control(method, path, body)
        assert status == 200, data
        return data

    def replacements(self, instance_id: str) -> list[dict[str, Any]]:
        """Return the disks that ReplaceSystemDisk made for an instance."""
        disks = self.told("GET", f"ledger?instance={instance_id}")["disks"]
        return [disk for disk in disks if disk["how"] == "ReplaceSystemDisk"]

    def last_call(self) -> dict[str, Any]:
        """Return the last entry of the journal."""
        return dict(self.told("GET", "journal")["entries"][-1])
