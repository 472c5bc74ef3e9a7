"""The ruler of a draft: present disk sizes above it, the sizes that are allowed on it, the size that is asked for below."""

from collections import Counter
from dataclasses import dataclass
from math import log

from fleet.changes.judging.judgement import DraftJudgement
from fleet.changes.judging.refusals import DiskRequest
from fleet.lib.text import count, listed

LEAST = 20
MOST_LABELS = 4
NONE_SUITS = "No size suits all of them: leave the size empty, or make one change for each kind of disk."


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the ruler: `x` and `w` are lengths of SVG, `size` is GiB, `height` in units of the drawing."""

    x: str
    size: int
    machines: int = 0
    height: int = 0
    label: bool = False
    anchor: str = "start"

    @property
    def top(self) -> int:
        return 30 - self.height


@dataclass(frozen=True, slots=True)
class Turn:
    """Machines whose disk goes from one size to another."""

    was: int
    size: int
    machines: int


@dataclass(frozen=True, slots=True)
class Disks:
    """Everything that the page shows about disk sizes (GiB); `least` and `most` are what all machines at once allow.

    Where `least` is above `most`, no size is allowed for all of them; `allowed` says in words which of the two it is.
    `turns` are those of the machines that nothing blocks.
    """

    marks: list[Mark]
    ticks: list[Mark]
    asked: Mark | None
    allowed_x: str
    allowed_width: str
    least: int
    most: int
    allowed: str
    words: str
    turns: list[Turn]
    largest: int

    @property
    def any_allowed(self) -> bool:
        return self.least <= self.most

    @property
    def growing(self) -> list[Turn]:
        return [turn for turn in self.turns if turn.size > turn.was]

    @property
    def grows(self) -> int:
        return sum(turn.machines for turn in self.growing)

    @property
    def stay(self) -> int:
        return sum(turn.machines for turn in self.turns) - self.grows


def disks(judgement: DraftJudgement, disk_request: DiskRequest) -> Disks:
    """Describe sizes now and afterwards, for a judgement with at least one machine."""
    now: Counter[int] = Counter()
    turns: Counter[tuple[int, int]] = Counter()
    least, most = LEAST, 0
    for alike in judgement.alike_machines:
        machine, image = alike.machine, alike.image
        now[machine.disk_size] += alike.machines
        if alike.size is not None and alike.refusal is None:
            turns[(machine.disk_size, alike.size)] += alike.machines
        limits = alike.edition.size_range(
            category=machine.disk_category,
            performance_level=machine.disk_performance_level,
            windows=bool(image and image.os_type == "windows"),
        )
        least = max(least, limits.least, machine.disk_size, image.size if image else 0)
        most = limits.most if most == 0 else min(most, limits.most)
    largest = max(now, default=LEAST)
    end = max(most, largest, 500)
    most_machines = max(now.values(), default=1)
    common = {size for size, _ in now.most_common(MOST_LABELS)}
    marks = [
        Mark(
            _x(size, end),
            size,
            machines,
            max(2, round(18 * machines / most_machines)),
            size in common,
            _anchor(size, end),
        )
        for size, machines in sorted(now.items())
    ]
    ticks = [
        Mark(_x(size, end), size, anchor=_anchor(size, end))
        for size in (20, 40, 100, 200, 500, 1000, 2048)
        if size <= end
    ]
    asked = (
        Mark(_x(disk_request.size, end), disk_request.size)
        if disk_request.size and LEAST <= disk_request.size <= end
        else None
    )
    allowed = f"Allowed for all of them: {least:,} to {most:,} GiB." if least <= most else NONE_SUITS
    sizes = listed([f"{size:,} GiB {count(machines, 'machine')}" for size, machines in sorted(now.items())], most=6)
    return Disks(
        marks=marks,
        ticks=[tick for tick in ticks if not (tick.size == 1000 and end > 1000)],
        asked=asked,
        allowed_x=_x(least, end),
        allowed_width=f"{max(0.0, 100 - _at(least, end) - (100 - _at(most, end))):.1f}%",
        least=least,
        most=most,
        allowed=allowed,
        words=f"Present sizes: {sizes}. {allowed}",
        turns=[Turn(was, size, number) for (was, size), number in sorted(turns.items())],
        largest=largest,
    )


def _at(size: int, end: int) -> float:
    """Return the place of a size on the ruler in percent; the ruler is logarithmic."""
    return 100 * log(max(LEAST, min(size, end)) / LEAST) / log(end / LEAST)


def _x(size: int, end: int) -> str:
    return f"{_at(size, end):.1f}%"


def _anchor(size: int, end: int) -> str:
    return "end" if _at(size, end) > 85 else "start"
