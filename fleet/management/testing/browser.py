"""Find the Chromium that the browser tests drive, or install one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHOSEN = "FLEET_CHROMIUM"
INSTALL_WITHIN = 900.0  # seconds


def find(*, install: bool, say: Callable[[str], None]) -> str:
    """Return the path of a Chromium that starts, or nothing; with `install`, fetch one if there is none."""
    for path in _present():
        if _starts(path):
            return path
    if not install:
        return ""
    for command in _installers():
        say(f"No Chromium here; installing one: {' '.join(command[-3:])}")
        if _ran(command):
            for path in _present():
                if _starts(path):
                    return path
    return ""


def _present() -> Iterator[str]:
    if os.environ.get(CHOSEN):
        yield os.environ[CHOSEN]
    for name in NAMES:
        if found := shutil.which(name):
            yield found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    if os.path.exists(own):
        yield own


def _installers() -> Iterator[list[str]]:
    yield [sys.executable, "-m", "playwright", "install", "chromium"]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        yield ["apt-get", "update", "--quiet"]
        yield ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium"]


def _starts(path: str) -> bool:
    """Say whether the browser runs at all: without its libraries not even its version can be asked."""
    return _ran([path, "--version"])


def _ran(command: list[str]) -> bool:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=INSTALL_WITHIN,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
