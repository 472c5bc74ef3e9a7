"""Install requirement files with pip, and say all the while what is done and how long it takes."""

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from fleet.management.install.requirements import plain_name

# From an index pip names the package, from a folder the file.
_FETCHING = re.compile(
    r"^(?:Collecting (?P<name>[A-Za-z0-9._-]+)|Processing (?:\S*/)?(?P<file>[A-Za-z0-9._]+)-[^/\s]*\.whl)"
)
EVERY = 1.0  # seconds between two signs of life
LINES_KEPT = 25


class Progress:
    """One line that is overwritten on a terminal; elsewhere a line a step, and one every ten seconds."""

    def __init__(self, *, out: TextIO, total: int) -> None:
        self._out = out
        self._total = total
        self._start = time.monotonic()
        self._shown = 0.0
        self._last = ""
        self._overwrite = out.isatty()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def show(self, *, step: str, done: int, what: str = "") -> None:
        """Show how far `step` has come."""
        text = f"  {step:<11} {done:>3} of {self._total}  {what}"
        if self._overwrite:
            self._out.write(f"\r\033[K{text[:90]:<44} {self.seconds:4.0f} s")
        elif text != self._last or time.monotonic() - self._shown >= 10:
            self._out.write(f"{text:<60} {self.seconds:4.0f} s\n")
            self._shown = time.monotonic()
        self._last = text
        self._out.flush()

    def end(self, *, text: str) -> None:
        """Close with a line that stays."""
        self._out.write(("\r\033[K" if self._overwrite else "") + f"  {text} ({self.seconds:.0f} s)\n")
        self._out.flush()


def install(*, python: Path, requirements: Sequence[Path], names: set[str]) -> None:
    """Run pip on these files in the environment of `python`; exits with pip's last lines when it fails.

    `names` are the packages that the files ask for, in the spelling of `plain_name`.
    """
    progress = Progress(out=sys.stdout, total=len(names))
    command = [
        *(str(python), "-m", "pip", "install", "--no-deps", "--require-hashes", "--no-input"),
        *("--disable-pip-version-check", "--progress-bar", "off"),
        *(part for path in requirements for part in ("-r", str(path))),
    ]
    # Started as a group of its own: Ctrl-C is ours to pass on.
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    assert pip.stdout is not None
    try:
        kept = _follow(pip, python=python, progress=progress, names=names)
    except BaseException:
        os.killpg(pip.pid, signal.SIGKILL)
        pip.wait()
        raise
    if pip.wait():
        progress.end(text="Installation failed")
        sys.exit("\n".join(kept) + "\nThe installation failed; see above. The next start begins it again.")
    progress.end(text=f"Installed {len(names)} packages")


def fetched_by(*, line: str) -> str:
    """Return the package that pip says in this line of its output to fetch, or nothing."""
    found = _FETCHING.match(line)
    return plain_name(found["name"] or found["file"]) if found else ""


def _follow(pip: "subprocess.Popen[bytes]", *, python: Path, progress: Progress, names: set[str]) -> deque[str]:
    """Read pip's output to its end, showing progress; return its last lines."""
    assert pip.stdout is not None
    stream = pip.stdout.fileno()
    kept: deque[str] = deque(maxlen=LINES_KEPT)
    fetched: set[str] = set()
    current = ""
    installing = False
    rest = b""
    before = _installed(python)
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=EVERY):
                chunk = os.read(stream, 65536)
                if not chunk:
                    return kept
                *lines, rest = (rest + chunk).split(b"\n")
                for line in (raw.decode(errors="replace").rstrip() for raw in lines):
                    kept.append(line)
                    if name := fetched_by(line=line):
                        current = name
                        fetched.add(name)
                    installing = installing or line.startswith("Installing collected packages")
            if installing:
                progress.show(step="installing", done=min(len(names), _installed(python) - before))
            else:
                progress.show(step="fetching", done=len(fetched & names), what=current)


def forget(*, python: Path, names: set[str]) -> None:
    """Remove what says that these packages are installed; the next `install` writes them again, whole.

    For what an interrupted pip left: it would take a package for installed of which only a part is there.
    """
    for folder in _metadata(python):
        if plain_name(folder.name.partition("-")[0]) in names:
            shutil.rmtree(folder)


def _installed(python: Path) -> int:
    """Count the packages that are there, whole."""
    return sum(1 for folder in _metadata(python) if (folder / "RECORD").exists())


def _metadata(python: Path) -> Iterator[Path]:
    """Yield the folder `<name>-<version>.dist-info` of each package in the environment of `python`."""
    return python.parent.parent.glob("lib/python*/site-packages/*.dist-info")
