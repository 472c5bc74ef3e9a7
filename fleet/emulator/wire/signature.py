"""Both signatures of the API, written from the vendor's text: v1 (HMAC-SHA1) and v3 (ACS3-HMAC-SHA256)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import quote

V3 = "ACS3-HMAC-SHA256"


def percent(text: str) -> str:
    """Percent-encode everything but A-Z a-z 0-9 - _ . ~ as UTF-8."""
    return quote(text, safe="-_.~", errors="replace")


def canonical_query(values: Mapping[str, str]) -> str:
    """Return the parameters sorted by name, encoded, joined."""
    return "&".join(f"{percent(key)}={percent(values[key])}" for key in sorted(values))


def string_to_sign_v1(*, method: str, values: Mapping[str, str]) -> str:
    """Return what a v1 signature covers: the method and all parameters, whether in the address or the body."""
    rest = {key: value for key, value in values.items() if key != "Signature"}
    return f"{method}&%2F&{percent(canonical_query(rest))}"


def sign_v1(*, secret: str, string_to_sign: str) -> str:
    """Sign with HMAC-SHA1, as base64."""
    digest = hmac.new(f"{secret}&".encode(), string_to_sign.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def string_to_sign_v3(
    *,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    signed: Sequence[str],
    body_sha256: str,
) -> str:
    """Return what a v3 signature covers; `headers` by lower-case name, `signed` as the request lists them."""
    lines = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in signed)
    request = "\n".join((method, path, canonical_query(query), lines, ";".join(signed), body_sha256))
    return f"{V3}\n{hashlib.sha256(request.encode()).hexdigest()}"


def sign_v3(*, secret: str, string_to_sign: str) -> str:
    """Sign with HMAC-SHA256, as hexadecimal."""
    return hmac.new(secret.encode(), string_to_sign.encode(), hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare two signatures in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
