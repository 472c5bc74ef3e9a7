"""Client tokens: the same request again gets the same answer and has no second effect."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from threading import Lock
from typing import Any

from fleet.emulator.wire.errors import ApiError, common_error


@dataclass(slots=True)
class Remembered:
    """What a token stands for: the request's fingerprint, and its answer once there is one."""

    fingerprint: str
    at: float
    answer: dict[str, Any] | None = None


class Tokens:
    """The tokens of the account by action and token.

    A fingerprint is keyed, so that the state file does not help anyone to guess a password.
    """

    def __init__(self, *, key: str) -> None:
        self._lock = Lock()
        self._key = key.encode()
        self._known: dict[str, Remembered] = {}

    def begin(
        self, *, action: str, token: str, request: dict[str, str], now: float, memory: float
    ) -> dict[str, Any] | None:
        """Return the remembered answer, or None and take the token for this call.

        Raises IdempotentParameterMismatch for another request, IdempotentProcessing while the first one still runs.
        """
        fingerprint = self._fingerprint(request)
        with self._lock:
            known = self._known.get(f"{action}/{token}")
            if known and (known.answer is None or now - known.at < memory):
                if known.fingerprint != fingerprint:
                    raise common_error("IdempotentParameterMismatch")
                if known.answer is None:
                    raise common_error("IdempotentProcessing")
                return known.answer
            self._known[f"{action}/{token}"] = Remembered(fingerprint, now)
            return None

    def finish(self, *, action: str, token: str, answer: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Remember the answer; return the row for the state file."""
        key = f"{action}/{token}"
        with self._lock:
            known = self._known[key]
            known.answer = answer
            return key, {"fingerprint": known.fingerprint, "at": known.at, "answer": answer}

    def fail(self, *, action: str, token: str, error: ApiError, remember: bool) -> None:
        """Forget a token whose call was refused, or remember the refusal where `remember` is set."""
        key = f"{action}/{token}"
        with self._lock:
            if remember and key in self._known:
                self._known[key].answer = {"__error__": [error.code, error.status, error.message]}
            else:
                self._known.pop(key, None)

    def load(self, rows: dict[str, dict[str, Any]]) -> None:
        """Take over the tokens of a state file."""
        self._known = {key: Remembered(r["fingerprint"], r["at"], r["answer"]) for key, r in rows.items()}

    def _fingerprint(self, request: dict[str, str]) -> str:
        return hmac.new(self._key, json.dumps(sorted(request.items())).encode(), hashlib.sha256).hexdigest()
