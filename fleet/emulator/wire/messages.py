"""Requests from bytes to parameters, and answers from plain data to the vendor's JSON and XML."""

import json
import re
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote
from xml.sax.saxutils import escape

from fleet.emulator.wire.errors import ApiError, common_error

MOST_BODY = 1 << 20
MOST_PARAMETERS = 2000
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came: `query` and `form` decoded, `headers` by lower-case name."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def values(self) -> dict[str, str]:
        """All parameters; the address counts where a name is in both."""
        return {**self.form, **self.query}


def read_request(environ: dict[str, Any]) -> Request:
    """Read a WSGI request; raise ApiError for what cannot be read."""
    headers = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type:
        headers["content-type"] = content_type
    body = _read_body(environ)
    form: dict[str, str] = {}
    if content_type.split(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        form = _pairs(body)
    query = _pairs(environ.get("QUERY_STRING", "").encode("latin-1", "replace"))
    return Request(environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/") or "/", query, form, headers, body)


def _pairs(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            raw.decode("utf-8", "replace"),
            keep_blank_values=True,
            errors="replace",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise common_error("InvalidParameter.TooLarge") from None
    values: dict[str, str] = {}
    for name, value in pairs:
        values.setdefault(name, value)
    return values


def _read_body(environ: dict[str, Any]) -> bytes:
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        try:
            body: bytes = stream.read(MOST_BODY + 1)
        except (OSError, ValueError):
            raise common_error("InvalidParameter", name="body") from None
    else:
        text = environ.get("CONTENT_LENGTH") or "0"
        if not (text.isascii() and text.isdigit()):
            raise common_error("InvalidParameter", name="Content-Length")
        if len(text) > 9 or int(text) > MOST_BODY:
            raise common_error("InvalidParameter.TooLarge")
        body = stream.read(int(text)) if int(text) else b""
    if len(body) > MOST_BODY:
        raise common_error("InvalidParameter.TooLarge")
    return body


def new_request_id() -> str:
    """Make a request id in the vendor's form."""
    return str(uuid.uuid4()).upper()


def wanted_format(values: dict[str, str], headers: dict[str, str]) -> str:
    """Return JSON or XML: Format decides, then the Accept header, and XML if neither does."""
    wanted = values.get("Format", "").upper()
    if wanted in ("JSON", "XML"):
        return wanted
    return "JSON" if "json" in headers.get("accept", "").lower() else "XML"


def answer_body(format: str, action: str, answer: dict[str, Any]) -> bytes:
    """Return the bytes of a success."""
    if format == "JSON":
        return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
    return (HEAD + _element(f"{action}Response", answer)).encode("utf-8", "replace")


def error_body(format: str, error: ApiError, *, request_id: str, host: str) -> bytes:
    """Return the bytes of a refusal."""
    recommend = f"https://api.aliyun.com/troubleshoot?q={quote(error.code)}&product=Ecs&requestId={request_id}"
    body = {
        "RequestId": request_id,
        "HostId": host,
        "Code": error.code,
        "Message": error.message,
        "Recommend": recommend,
    }
    if format == "JSON":
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return (HEAD + _element("Error", body)).encode("utf-8", "replace")


def _element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_element(name, item) for item in value)
    if isinstance(value, dict):
        inner = "".join(_element(key, item) for key, item in value.items())
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    else:
        inner = escape(NOT_XML.sub("�", str(value)))
    return f"<{name}>{inner}</{name}>"
