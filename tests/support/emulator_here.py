"""The emulator within this process: the same program, to which the SDK's requests go without a socket between.

The SDK still builds each request and reads each answer or error. Left out are the signature and HTTP, which tests/cloud,
tests/emulator/wire and the journeys prove on a real one. tests/cloud/test_emulator_here.py holds the two ways to the same
answers, fault by fault.
"""

import io
import json
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

from aliyunsdkcore.acs_exception.error_code import SDK_HTTP_ERROR
from aliyunsdkcore.acs_exception.exceptions import ClientException
from aliyunsdkcore.client import AcsClient

from fleet.cloud import transport
from fleet.emulator.app import Application
from fleet.emulator.main import DEFAULT_KEY
from fleet.emulator.provider import Provider
from fleet.emulator.wire.access import VERSION, AccessKey, Authenticator
from fleet.emulator.wire.errors import DropAnswer, common_error
from fleet.emulator.wire.messages import Request
from fleet.emulator.world.settings import Settings
from tests.support.emulator import Emulator

PORT = 1  # where nothing listens: a child process that calls it is refused
FORM = "application/x-www-form-urlencoded"


class Unsigned(Authenticator):
    """Lets in whoever names the key, with any signature or none."""

    def check(self, request: Request, *, now: float) -> None:
        if request.values.get("AccessKeyId") != DEFAULT_KEY.id:
            raise common_error("InvalidAccessKeyId.NotFound")


@dataclass(frozen=True, kw_only=True)
class EmulatorHere(Emulator):
    """An emulator without a server; what is asked of it is answered in the thread that asks."""

    app: Application

    @classmethod
    def make(cls, **settings: Any) -> "EmulatorHere":
        """Make one with these settings and no state file."""
        provider = Provider(settings=Settings(**settings))
        authenticator = Unsigned([AccessKey(DEFAULT_KEY.id, DEFAULT_KEY.secret)])
        app = Application(provider=provider, authenticator=authenticator)
        return cls(url=f"http://127.0.0.1:{PORT}", port=PORT, app=app)

    def ask(self, action: str, **values: str) -> dict[str, Any]:
        """Call the API without the SDK, and return the answer or the error, whose `Code` says what it is."""
        common = {"Action": action, "Version": VERSION, "Format": "JSON", "AccessKeyId": self.access_key_id}
        body = urlencode({"RegionId": "cn-hangzhou", **common, **values}).encode()
        answer: dict[str, Any] = json.loads(self.send("POST", "/", body=body, content_type=FORM)[1])
        return answer

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the control API, and return its answer's JSON."""
        text = b"" if body is None else json.dumps(body).encode()
        status, answer = self.send(method, f"/__emulator__/{path}", body=text, content_type="application/json")
        if status >= 400:
            raise urllib.error.HTTPError(path, status, answer.decode(), Message(), io.BytesIO(answer))
        return json.loads(answer) if answer else None

    def send(self, method: str, path: str, *, body: bytes, content_type: str) -> tuple[int, bytes]:
        """Return the status and the body of the answer, or raise DropAnswer where there is none."""
        path, _, query = path.partition("?")
        status = ""

        def begin(said: str, headers: list[tuple[str, str]]) -> None:
            nonlocal status
            status = said

        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_HOST": f"127.0.0.1:{self.port}",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(body),
        }
        answer = b"".join(self.app(environ, begin))
        return int(status.split()[0]), answer


@contextmanager
def emulator_in_this_process() -> Iterator[EmulatorHere]:
    """Yield an emulator to which every client of this process speaks that is made for its endpoint from now on."""
    emulator = EmulatorHere.make(instances=0)

    class Client(AcsClient):  # type: ignore[misc]
        def _handle_single_request(
            self, endpoint: str, request: Any, read_timeout: float, connect_timeout: float, signer: Any
        ) -> tuple[Any, Any, Any, Any]:
            if endpoint != f"127.0.0.1:{PORT}":
                return super()._handle_single_request(endpoint, request, read_timeout, connect_timeout, signer)  # type: ignore[no-any-return]
            values = {
                "RegionId": self._region_id,
                **request.get_query_params(),
                **request.get_body_params(),
                "Action": request.get_action_name(),
                "Version": request.get_version(),
                "Format": request.get_accept_format(),
                "AccessKeyId": self._ak,
            }
            begun_at = time.monotonic()
            try:
                status, answer = emulator.send("POST", "/", body=urlencode(values).encode(), content_type=FORM)
            except DropAnswer:
                return _no_answer("('Connection aborted.', RemoteDisconnected('Remote end closed connection'))")
            if time.monotonic() - begun_at > read_timeout:
                return _no_answer(f"Read timed out. (read timeout={read_timeout})")
            return status, {}, answer, self._get_server_exception(status, answer, endpoint, "")

    with patch.object(transport, "AcsClient", Client):
        yield emulator


def _no_answer(what: str) -> tuple[None, None, None, ClientException]:
    return None, None, None, ClientException(SDK_HTTP_ERROR, what)
