"""Submissions that no honest browser would send, drawn from a seed: a valid form, spoilt in some places."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode

T = TypeVar("T")
CANARY = "Canary-Word-9"  # a password that fits: it must never come back
NASTY = (
    "", " ", "0", "-1", "-0", "1.5", "1e9", "+5", "1_0", "0x10", "NaN", "Infinity", "٣", "９", "²", "1,000", "9" * 30,
    "9" * 5000,
    "true", "null", "None", "[]", "{}", "on", "off", "\x00", "a\x00b", "\r\n\t", "\u202e\u200f", "\ufeff",
    "\U0001f9e8" * 40,
    "é̂" * 100, "<script>alert(1)</script>", "{{ 7|add:7 }}", "{% debug %}", "'; DROP TABLE fleet_change; --",
    "\" onfocus=x",
    "%00%ff", "../../etc/passwd", "javascript:alert(1)", "http://[", "https://a b/", "ftp://x", "2026-13-45T99:99",
    "0001-01-01T00:00", "9999-12-31T23:59", "2026-11-30T22:00:00+99:00", "x" * 129, "x" * 4001, "x" * 100_000,
    str(2**31), str(2**31 - 1), str(2**63), str(2**64), "-9223372036854775809", "password", "webhook", "command",
    "fixed", "timed",
    "person", "ramp", "key_pair", "image", "by_hand", "blocked", "locked 00000000",
)  # fmt: skip
FORGED = (
    "author", "state", "revision", "spec_digest", "secret", "secret_id", "approved_until", "approvals_needed",
    "round", "id", "pk",
    "change", "open", "images", "placed_image", "policy", "undoes", "copied_from", "started_at",
    "csrfmiddlewaretoken", "_method",
    "list", "q", "look", "page", "target", "code", "instance", "act", "seal", "shown", "selection", "text", "name",
    "view", "reason",
)  # fmt: skip
BODIES = (
    ("application/json", b'{"title": "x"}'),
    ("application/json", b"\xff\xfe\x00"),
    ("text/plain", b"title=x&image_id=y"),
    ("application/x-www-form-urlencoded", b"\xff=\xfe&title=%ff%fe&disk_size=%C0%80"),
    ("application/x-www-form-urlencoded", b"&&&===;;;" * 50),
    ("application/x-www-form-urlencoded; charset=utf-16", "title=x".encode("utf-16")),
    ("application/x-www-form-urlencoded; charset=hex", b"title=zz"),
    ("multipart/form-data", b"--x\r\n"),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nno end"),
    ("multipart/form-data; boundary=x; charset=hex", b'--x\r\nContent-Disposition: form-data; name="t"\r\n\r\nz\r\n--x--\r\n'),
    ("multipart/form-data; boundary=" + "b" * 300, b""),
    ("application/octet-stream", b"\x00" * 1000),
    ("", b"title=x"),
    ("application/x-www-form-urlencoded", b"a=1&" * 20_001),
    ("application/x-www-form-urlencoded", b"title=" + b"x" * (5 * 1024 * 1024 + 1)),
)  # fmt: skip


@dataclass(frozen=True)
class Submission:
    who: str
    path: str
    pairs: list[tuple[str, str]] = field(default_factory=list)
    raw: tuple[str, bytes] | None = None
    multipart: bool = False
    htmx: bool = False
    upload: str = ""

    def request(self) -> dict[str, Any]:
        """Return it as keywords of the test client's `generic`."""
        headers = {"HX-Request": "true"} if self.htmx else {}
        if self.raw:
            return {"data": self.raw[1], "content_type": self.raw[0], "headers": headers}
        if self.multipart:
            return {"data": self._parts(), "content_type": "multipart/form-data; boundary=fleet", "headers": headers}
        body = urlencode(self.pairs, quote_via=quote_plus, errors="replace").encode()
        return {"data": body, "content_type": "application/x-www-form-urlencoded", "headers": headers}

    def _parts(self) -> bytes:
        lines = []
        for name, value in self.pairs:
            file = f'; filename="{self.upload}"' if name == self.upload else ""
            lines.append(
                f'--fleet\r\nContent-Disposition: form-data; name="{quote_plus(name)}"{file}\r\n\r\n{value}\r\n'
            )
        return ("".join(lines) + "--fleet--\r\n").encode(errors="replace")


@dataclass(frozen=True)
class Place:
    """Somewhere to post to: its path and a form that fits there."""

    path: str
    form: dict[str, str]


class Dealer:
    """Draws from a seed, but deals what it has many of like cards: each once, in a random order, before any comes again.

    Of `parts` dealers of one seed each begins with a part of its own of the cards.
    """

    def __init__(self, seed: int, *, part: int = 0, parts: int = 1) -> None:
        self.draw = Random(f"{seed}-{part}")
        self._seed, self._part, self._parts = seed, part, parts
        self._decks: dict[str, Iterator[Any]] = {}

    def deal(self, deck: str, cards: Sequence[T]) -> T:
        """Return the next card of the deck of this name, which has these cards."""
        if deck not in self._decks:
            shuffled = list(cards)
            Random(f"{self._seed}-{deck}").shuffle(shuffled)
            at = self._part * len(shuffled) // self._parts
            self._decks[deck] = cycle(shuffled[at:] + shuffled[:at])
        card: T = next(self._decks[deck])
        return card


def submission(dealer: Dealer, *, people: list[str], places: list[Place], ids: list[str]) -> Submission:
    """Make up one: mostly a form that fits but for a few fields, sometimes a body that is no form at all."""
    draw = dealer.draw
    who, place = draw.choice(people), dealer.deal("places", places)
    path = place.path if draw.random() < 0.97 else place.path.replace("1", draw.choice(["0", "99999999999", "1"]), 1)
    htmx = draw.random() < 0.4
    if draw.random() < 0.04:
        return Submission(who, path, raw=dealer.deal("bodies", BODIES), htmx=htmx)
    fields, pairs = list(place.form), list(place.form.items())
    # Mostly one: what is refused for another field is not tried to its end. Many now and then: each field has its sentence.
    for _ in range(draw.choice((0, *[1] * 8, 40, 60))):
        pairs = _spoilt(dealer, fields, pairs, ids)
    multipart = draw.random() < 0.2
    upload = draw.choice(pairs)[0] if multipart and pairs and draw.random() < 0.3 else ""
    return Submission(who, path, pairs, multipart=multipart, htmx=htmx, upload=upload)


def _spoilt(dealer: Dealer, fields: list[str], pairs: list[tuple[str, str]], ids: list[str]) -> list[tuple[str, str]]:
    draw = dealer.draw
    kind = draw.random()
    name = dealer.deal(f"fields {fields}", fields) if fields and kind >= 0.13 else dealer.deal("forged", FORGED)
    value = dealer.deal(f"values of {name}", NASTY) if draw.random() < 0.75 else draw.choice(ids)
    at = next((number for number, pair in enumerate(pairs) if pair[0] == name), None)
    if kind < 0.2 or at is None:
        return [*pairs, (name, value)]
    if kind < 0.24:
        return pairs[:at] + pairs[at + 1 :]
    if kind < 0.26:
        return [*pairs, *((name, value[:50]) for _ in range(200))]
    if kind < 0.29:
        return [*pairs, (name + draw.choice(["\x00", "[]", " ", "é", "__in"]), value)]
    if kind < 0.31:
        return [(one, json.dumps(worth)) for one, worth in pairs]
    return [*pairs[:at], (name, value), *pairs[at + 1 :]]
