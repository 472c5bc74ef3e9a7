"""The journal: every call with its outcome and its parameters, without secrets.

No message is kept, as one may echo what was signed, and so a password.
"""

import json
from collections import deque
from threading import Lock
from typing import Any

from fleet.emulator.wire.params import PROTOCOL, pattern_of

MOST = 100_000
MASK = "***"
LONGEST = 512
SHOWN = frozenset(("PasswordInherit", "ClientToken", "NextToken", "WindowsPasswordName"))
SIGNING = PROTOCOL - {"SecurityToken", "AcceptLanguage", "OwnerAccount", "OwnerId"}


def without_secrets(values: dict[str, str]) -> dict[str, str]:
    """Return the parameters that a person may read: signing parameters gone, secrets masked, long values cut."""
    shown = {}
    for name, value in values.items():
        if name in SIGNING:
            continue
        shown[name[:LONGEST]] = MASK if _is_secret(name) else value[:LONGEST]
    return shown


def _is_secret(name: str) -> bool:
    if pattern_of(name) in SHOWN:
        return False
    lower = name.lower()
    hints = ("passw", "pwd", "secret", "token", "signature", "credential", "authorization", "privatekey", "userdata")
    return any(hint in lower for hint in hints) or lower in ("commandcontent", "parameters")


class Journal:
    """The last calls as JSON lines, numbered from 1 without gaps."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lines: deque[tuple[int, str]] = deque(maxlen=MOST)
        self._seq = 0

    def add(self, entry: dict[str, Any]) -> tuple[int, str]:
        """Give an entry the next number and keep it; return the row for the state file."""
        with self._lock:
            self._seq += 1
            row = (self._seq, json.dumps({"seq": self._seq, **entry}, ensure_ascii=False))
            self._lines.append(row)
            return row

    def load(self, rows: list[tuple[int, str]]) -> None:
        """Take over the journal of a state file."""
        with self._lock:
            self._lines = deque(rows, maxlen=MOST)
            self._seq = rows[-1][0] if rows else 0

    def clear(self) -> None:
        """Forget all entries and number from 1 again."""
        self.load([])

    @property
    def last_seq(self) -> int:
        """The number of the last entry, 0 if there is none."""
        return self._seq

    def since(self, seq: int, *, limit: int | None = None) -> list[str]:
        """Return the entries numbered above `seq` as JSON texts, oldest first."""
        with self._lock:
            skip = max(0, len(self._lines) - (self._seq - seq)) if seq > 0 else 0
            lines = [line for number, line in list(self._lines)[skip:] if number > seq]
        return lines[:limit] if limit is not None else lines

    def latest(self, count: int) -> list[dict[str, Any]]:
        """Return the last entries, newest first."""
        with self._lock:
            lines = [self._lines[-i][1] for i in range(1, min(count, len(self._lines)) + 1)]
        return [json.loads(line) for line in lines]
