"""The WSGI application: the API at /, the control API and the page below /__emulator__/."""

import sys
import traceback
from collections.abc import Callable, Iterable
from http.client import responses
from typing import Any

from fleet.emulator import actions as _all_actions
from fleet.emulator.contract.registry import ACTIONS
from fleet.emulator.control.endpoints import Control
from fleet.emulator.provider import Provider, new_entry
from fleet.emulator.wire.access import VERSION, Authenticator, claimed_caller
from fleet.emulator.wire.errors import ApiError, DropAnswer, common_error
from fleet.emulator.wire.messages import Request, answer_body, error_body, new_request_id, read_request, wanted_format
from fleet.emulator.wire.params import Params
from fleet.emulator.wire.times import to_second

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
TYPES = {"JSON": "application/json;charset=utf-8", "XML": "text/xml;charset=utf-8"}
assert _all_actions.LOADED


class Application:
    """Answers every request: with what was asked for, or with an error in the vendor's form."""

    def __init__(self, *, provider: Provider, authenticator: Authenticator) -> None:
        self.provider = provider
        self.authenticator = authenticator
        self.control = Control(provider)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if str(environ.get("PATH_INFO", "")).startswith("/__emulator__"):
            status, content_type, body, extra = self.control.answer(environ)
        else:
            status, content_type, body = self._api(environ)
            extra = []
        head = [("Content-Type", content_type), ("Content-Length", str(len(body))), *extra]
        start_response(f"{status} {responses.get(status, 'Status')}", head)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]

    def _api(self, environ: dict[str, Any]) -> tuple[int, str, bytes]:
        request_id = new_request_id()
        host = _host(environ)
        try:
            request = read_request(environ)
        except ApiError as error:
            return error.status, TYPES["XML"], error_body("XML", error, request_id=request_id, host=host)
        format = wanted_format(request.values, request.headers)
        try:
            action, answer = self._checked(request, request_id)
        except ApiError as error:
            return error.status, TYPES[format], error_body(format, error, request_id=request_id, host=host)
        return 200, TYPES[format], answer_body(format, action, answer)

    def _checked(self, request: Request, request_id: str) -> tuple[str, dict[str, Any]]:
        values = request.values
        caller = claimed_caller(request)
        at = to_second(self.provider.clock.now())
        entry = new_entry(
            action=caller.action,
            values=values,
            access_key_id=caller.access_key_id,
            request_id=request_id,
            at=at,
        )
        try:
            if request.path != "/":
                raise common_error("InvalidApi.NotFound")
            if request.method not in ("GET", "POST"):
                raise common_error("UnsupportedHTTPMethod")
            self.authenticator.check(request, now=self.provider.clock.now())
            if caller.version != VERSION:
                raise self.provider.edition.error("UnknownVersion")
            action = ACTIONS.get(caller.action)
            if action is None:
                raise self.provider.edition.error("UnknownAction")
            answer = self.provider.run(action=action, params=Params(values), request_id=request_id, entry=entry)
        except DropAnswer:
            if not entry["code"]:
                self.provider.record({**entry, "code": "(no answer)"})
            raise
        except ApiError as error:
            self.provider.record({**entry, "http_status": error.status, "code": error.code, "effect": False})
            raise
        except Exception as error:
            self.provider.record({**entry, "http_status": 500, "code": "InternalError"})
            print_bug(error)
            raise common_error("InternalError") from None
        return action.name, answer


def print_bug(error: Exception) -> None:
    """Say on stderr where the emulator itself failed: file and line, never a value, as values may be secret."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames[-4:]))
    print(f"The emulator failed with {type(error).__name__} at {where}", file=sys.stderr)


def _host(environ: dict[str, Any]) -> str:
    host = str(environ.get("HTTP_HOST", "ecs.aliyuncs.com"))[:255]
    return host if host.isascii() and host.isprintable() else "ecs.aliyuncs.com"
