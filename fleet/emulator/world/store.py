"""The state file: one SQLite database, written in the transaction of each call, so that no answered call is ever forgotten.

It is opened with synchronous=NORMAL in WAL mode: it survives a `kill -9` whole; a power cut may lose the last calls.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import RLock
from typing import Any

from fleet.emulator.world.codec import from_text, to_text
from fleet.emulator.world.resources import Resource

SCHEMA = """
CREATE TABLE IF NOT EXISTS resource (kind TEXT, id TEXT, region TEXT, place INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT,
                                     UNIQUE (kind, region, id));
CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY, body TEXT);
CREATE TABLE IF NOT EXISTS token (key TEXT PRIMARY KEY, body TEXT);
CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, body TEXT);
"""
PUT = (
    "INSERT INTO resource (kind, id, region, body) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (kind, region, id) DO UPDATE SET body = excluded.body"
)


class Store:
    """The state file, or nothing at all where no file is given."""

    def __init__(self, path: Path | None) -> None:
        self._lock = RLock()
        self._db: sqlite3.Connection | None = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(SCHEMA)

    @property
    def is_kept(self) -> bool:
        """Say whether there is a file."""
        return self._db is not None

    def write(
        self,
        *,
        changed: Iterable[Resource] = (),
        removed: Iterable[Resource] = (),
        journal: tuple[int, str] | None = None,
        token: tuple[str, dict[str, Any]] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        """Write all of it in one transaction, or nothing."""
        if self._db is None:
            return
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(PUT, ((type(r).__name__, r.id, r.region, to_text(r)) for r in changed))
                self._db.executemany(
                    "DELETE FROM resource WHERE kind = ? AND id = ? AND region = ?",
                    [(type(r).__name__, r.id, r.region) for r in removed],
                )
                if journal:
                    self._db.execute("INSERT OR REPLACE INTO journal VALUES (?, ?)", journal)
                if token:
                    self._db.execute("INSERT OR REPLACE INTO token VALUES (?, ?)", (token[0], json.dumps(token[1])))
                for key, value in (settings or {}).items():
                    self._db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (key, json.dumps(value)))
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def clear(self) -> None:
        """Forget everything but the settings."""
        if self._db is not None:
            with self._lock:
                self._db.executescript("BEGIN; DELETE FROM resource; DELETE FROM journal; DELETE FROM token; COMMIT;")

    def settings(self) -> dict[str, Any]:
        """Return the saved settings; empty if the file is new."""
        return {key: json.loads(body) for key, body in self._rows("SELECT key, body FROM setting")}

    def resources(self) -> Iterator[Resource]:
        """Yield all resources in the order in which they were made."""
        for kind, body in self._rows("SELECT kind, body FROM resource ORDER BY place"):
            yield from_text(kind, body)

    def journal(self, *, most: int) -> list[tuple[int, str]]:
        """Return the last `most` journal entries and forget older ones."""
        if self._db is None:
            return []
        with self._lock:
            self._db.execute("DELETE FROM journal WHERE seq <= (SELECT max(seq) FROM journal) - ?", (most,))
        return [(seq, body) for seq, body in self._rows("SELECT seq, body FROM journal ORDER BY seq")]

    def tokens(self) -> dict[str, dict[str, Any]]:
        """Return the remembered client tokens."""
        return {key: json.loads(body) for key, body in self._rows("SELECT key, body FROM token")}

    def _rows(self, query: str) -> list[Any]:
        if self._db is None:
            return []
        with self._lock:
            return self._db.execute(query).fetchall()

    def close(self) -> None:
        """Fold SQLite's log into the file and close it."""
        if self._db is not None:
            with self._lock:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._db.close()
                self._db = None
