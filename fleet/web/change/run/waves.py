"""The waves of a run as a ladder: a rung for each wave near the open one, its machines as tiles, or as a bar if they are many."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from fleet.engine.waves import Counts, RunCounts, WaveCount, wave_name
from fleet.guards.policy import Policy
from fleet.lib.text import count, moment_utc
from fleet.models import Change, ChangeState, Outcome, ReplacementState
from fleet.models.replacements import LIVE
from fleet.web.change.run.numbers import Part, parts_of

MOST_TILES = 1_000  # machines; beyond that each wave is a bar, and no row is read
ENDED_SHOWN, COMING_SHOWN = 3, 4  # waves before and after the open one; the others are folded

BY_STATE = {ReplacementState.QUEUED: "q", ReplacementState.HELD: "u", ReplacementState.DONE: "d"}
BY_OUTCOME = {
    Outcome.SUCCEEDED: "d",
    Outcome.ADOPTED: "d",
    Outcome.UNKNOWN: "u",
    Outcome.SKIPPED_DRIFT: "s",
    Outcome.CANCELLED: "s",
}


@dataclass(frozen=True, slots=True)
class Rung:
    """One wave, or several that are folded into one rung. `tiles` has a letter for each machine; without, `parts` is a bar.

    `machines` says how many it has, `why` what it waits for.
    """

    name: str
    status: str
    glyph: str
    word: str
    c: Counts
    open: bool
    tiles: str
    parts: list[Part]
    machines: str
    why: str

    @property
    def words(self) -> str:
        """What became of its machines, for people who cannot see the tiles."""
        counts = (
            (self.c.done, "done"),
            (self.c.in_flight - self.c.held, "in flight"),
            (self.c.failed - (self.c.held - self.c.inconclusive), "failed"),
            (self.c.held, "held"),
            (self.c.skipped + self.c.cancelled, "skipped or not started"),
            (self.c.queued, "queued"),
        )
        return ", ".join(f"{number:,} {word}" for number, word in counts if number)


def ladder(change: Change, policy: Policy, at: RunCounts, now: datetime) -> list[Rung]:
    """Return at most ten rungs: one query if the machines are few enough for tiles, else none."""
    tiles = _tiles(change) if at.whole.total <= MOST_TILES else {}
    here = next((place for place, wave in enumerate(at.waves) if wave.number >= change.wave), len(at.waves))
    first, last = max(0, here - ENDED_SHOWN), here + 1 + COMING_SHOWN
    near = [_rung(change, policy, wave, tiles, now) for wave in at.waves[first:last]]
    return [
        *_folded(change, policy, at.waves[:first], tiles, now),
        *near,
        *_folded(change, policy, at.waves[last:], tiles, now),
    ]


def _folded(change: Change, policy: Policy, waves: list[WaveCount], tiles: dict[int, str], now: datetime) -> list[Rung]:
    if len(waves) < 2:
        return [_rung(change, policy, wave, tiles, now) for wave in waves]
    whole = Counts()
    for wave in waves:
        whole.add(wave)
    status, glyph, word = _badge(whole, open_now=False, running=False)
    names = f"{_title(policy, waves[0].number)} to {wave_name(policy, waves[-1].number).removeprefix('wave ')}"
    return [Rung(names, status, glyph, word, whole, False, "", parts_of(whole), count(whole.total, "machine"), "")]


def _rung(change: Change, policy: Policy, wave: WaveCount, tiles: dict[int, str], now: datetime) -> Rung:
    live = change.is_under_way
    is_open = live and wave.number == change.wave and not wave.over
    running = change.state == ChangeState.RUNNING
    status, glyph, word = _badge(wave, open_now=is_open, running=running)
    machines = count(wave.total, "machine")
    if wave.number == change.wave and change.wave_opened_at and live:
        machines = f"{machines}, opened {moment_utc(change.wave_opened_at, now)}"
    why = change.waits_for if running and (is_open or _is_next(change, wave)) else ""
    return Rung(
        _title(policy, wave.number),
        status,
        glyph,
        word,
        wave,
        is_open,
        tiles.get(wave.number, ""),
        [] if wave.number in tiles else parts_of(wave),
        machines,
        why if (is_open and wave.queued) or _is_next(change, wave) else "",
    )


def _is_next(change: Change, wave: WaveCount) -> bool:
    return wave.number == change.wave + 1 and wave.queued == wave.total


def _badge(c: Counts, *, open_now: bool, running: bool) -> tuple[str, str, str]:
    if c.queued == c.total:
        return ("run", "run", "open") if open_now and running else ("off", "queued", "queued")
    if c.ended == c.total:
        return ("bad", "bad", "ended, with failures") if c.failed else ("ok", "check", "ended")
    if c.held and c.in_flight == c.held and not (c.queued and running):
        return "warn", "held", "held"
    return ("run", "run", "running") if running else ("warn", "held", "stopped")


def _title(policy: Policy, number: int) -> str:
    name = wave_name(policy, number).removeprefix("the ")
    return name[:1].upper() + name[1:]


def short_name(policy: Policy, number: int) -> str:
    """Return a wave as a table names it: `canary`, `1`, `2`."""
    return wave_name(policy, number).removeprefix("the ").removeprefix("wave ")


def _tiles(change: Change) -> dict[int, str]:
    letters: dict[int, list[str]] = defaultdict(list)
    rows = change.replacements.order_by("target__position").values_list("wave", "state", "outcome")
    for wave, state, outcome in rows:
        letters[wave].append(_letter(state, outcome))
    return {wave: "".join(tiles) for wave, tiles in letters.items()}


def _letter(state: str, outcome: str) -> str:
    if state in LIVE:
        return "m"
    if outcome and state != ReplacementState.HELD:
        return BY_OUTCOME.get(Outcome(outcome), "f")
    return BY_STATE.get(ReplacementState(state), "s")
