"""Authentication: the common parameters of a request, its signature, its time and its nonce."""

import hashlib
import re
from dataclasses import dataclass
from threading import Lock

from fleet.emulator.wire import signature
from fleet.emulator.wire.errors import ApiError, common_error, missing, not_valid
from fleet.emulator.wire.messages import Request
from fleet.emulator.wire.times import parse_time

SKEW_SECONDS = 15 * 60
VERSION = "2014-05-26"
CREDENTIAL = re.compile(
    r"ACS3-HMAC-SHA256\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]*)\s*,\s*Signature=([0-9a-zA-Z]+)\s*"
)


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key of the account; one from STS also has a token."""

    id: str
    secret: str
    token: str = ""


def parse_access_key(text: str) -> AccessKey:
    """Read ID:SECRET or ID:SECRET:TOKEN; raise ValueError."""
    parts = text.split(":", 2)
    if len(parts) < 2 or not all(parts):
        raise ValueError("an access key is ID:SECRET, or ID:SECRET:TOKEN for one from STS")
    return AccessKey(*parts)


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says about itself before anything is believed."""

    action: str
    version: str
    access_key_id: str


def claimed_caller(request: Request) -> Caller:
    """Return what the request claims to be; empty texts where it says nothing."""
    if is_v3(request):
        match = CREDENTIAL.fullmatch(request.headers.get("authorization", ""))
        return Caller(
            request.headers.get("x-acs-action", ""),
            request.headers.get("x-acs-version", ""),
            match[1] if match else request.headers.get("x-acs-accesskey-id", ""),
        )
    values = request.values
    return Caller(values.get("Action", ""), values.get("Version", ""), values.get("AccessKeyId", ""))


def is_v3(request: Request) -> bool:
    """Say whether the request carries its common parameters in headers."""
    return request.headers.get("authorization", "").startswith(signature.V3) or "x-acs-date" in request.headers


class Authenticator:
    """Recognises callers: lets in what is signed with a known key, in time, and not sent before."""

    def __init__(self, keys: list[AccessKey]) -> None:
        self._keys = {key.id: key for key in keys}
        self._lock = Lock()
        self._nonces: dict[str, float] = {}

    def check(self, request: Request, *, now: float) -> None:
        """Raise the vendor's error unless the request is signed with a known key, now, for the first time."""
        format = request.values.get("Format", "")
        if format and format.upper() not in ("JSON", "XML"):
            raise common_error("InvalidParameter.Format")
        if is_v3(request):
            self._check_v3(request, now)
        else:
            self._check_v1(request, now)

    def _check_v1(self, request: Request, now: float) -> None:
        values = request.values
        for name in (
            "Action",
            "Version",
            "AccessKeyId",
            "SignatureMethod",
            "SignatureVersion",
            "SignatureNonce",
            "Timestamp",
            "Signature",
        ):
            if not values.get(name):
                raise missing(name)
        if values["SignatureMethod"] != "HMAC-SHA1":
            raise common_error("InvalidSignatureMethod")
        if values["SignatureVersion"] != "1.0":
            raise not_valid("SignatureVersion")
        key = self._key(values["AccessKeyId"], values.get("SecurityToken", ""))
        self._check_time(values["Timestamp"], now)
        text = signature.string_to_sign_v1(method=request.method, values=values)
        if not signature.same(signature.sign_v1(secret=key.secret, string_to_sign=text), values["Signature"]):
            raise _no_match(text)
        self._check_nonce(f"{key.id}/{values['SignatureNonce']}", now)

    def _check_v3(self, request: Request, now: float) -> None:
        headers = request.headers
        for name in (
            "authorization",
            "x-acs-action",
            "x-acs-version",
            "x-acs-date",
            "x-acs-signature-nonce",
            "x-acs-content-sha256",
        ):
            if not headers.get(name):
                raise missing(name)
        match = CREDENTIAL.fullmatch(headers["authorization"])
        if not match:
            raise common_error("IncompleteSignature")
        signed = match[2].lower().split(";")
        if not {"host", "x-acs-action", "x-acs-version", "x-acs-date"} <= set(signed):
            raise common_error("IncompleteSignature")
        key = self._key(match[1], headers.get("x-acs-security-token", ""))
        self._check_time(headers["x-acs-date"], now)
        text = signature.string_to_sign_v3(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=headers,
            signed=signed,
            body_sha256=headers["x-acs-content-sha256"],
        )
        expected = signature.sign_v3(secret=key.secret, string_to_sign=text)
        if hashlib.sha256(request.body).hexdigest() != headers["x-acs-content-sha256"].lower():
            raise _no_match(text)
        if not signature.same(expected, match[3].lower()):
            raise _no_match(text)
        self._check_nonce(f"{key.id}/{headers['x-acs-signature-nonce']}", now)

    def _key(self, id: str, token: str) -> AccessKey:
        key = self._keys.get(id)
        if key is None:
            raise common_error("InvalidAccessKeyId.NotFound")
        if key.token != token:
            raise common_error("InvalidSecurityToken.MismatchWithAccessKey")
        return key

    def _check_time(self, text: str, now: float) -> None:
        try:
            at = parse_time(text)
        except ValueError:
            raise common_error("InvalidTimeStamp.Format") from None
        if abs(now - at) > SKEW_SECONDS:
            raise common_error("InvalidTimeStamp.Expired")

    def _check_nonce(self, nonce: str, now: float) -> None:
        # A request is refused by its time after the skew, so older nonces need not be known.
        with self._lock:
            if nonce in self._nonces:
                raise common_error("SignatureNonceUsed")
            self._nonces[nonce] = now
            while self._nonces:
                oldest = next(iter(self._nonces))
                if now - self._nonces[oldest] <= 2 * SKEW_SECONDS:
                    break
                del self._nonces[oldest]


def _no_match(string_to_sign: str) -> ApiError:
    return common_error("SignatureDoesNotMatch", string_to_sign=string_to_sign)
