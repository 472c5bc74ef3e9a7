"""Reading the requirement files (exact versions, environment markers) with the standard library alone."""

import hashlib
import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

RUNTIME = "requirements.txt"  # what the program needs to run
TESTS = "requirements-test.txt"  # what only its tests need besides; no package is in both

_LINE = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\]+?))?\s*\\?$")
_CLAUSE = re.compile(r"""^\(*\s*(?P<name>\w+)\s*(?P<sign>==|!=|<=|>=|<|>)\s*(['"])(?P<value>[^'"]*)\3\s*\)*$""")


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One package that must be there in exactly this version."""

    name: str
    version: str


def digest(*, path: Path) -> str:
    """Return the SHA-256 of the file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wanted(*, paths: Iterable[Path]) -> list[Requirement]:
    """Return the packages of these requirement files that this Python and this system need."""
    found = (_LINE.match(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines())
    return [
        Requirement(name=plain_name(match["name"]), version=match["version"])
        for match in found
        if match and marker_holds(marker=match["marker"] or "")
    ]


def missing(*, paths: Iterable[Path], folders: list[str] | None = None) -> list[Requirement]:
    """Return what these requirement files ask for and is not installed in that very version.

    Looks in `folders` (the site-packages of another environment), or in the running Python's.
    """
    installed = {_key(found) for found in (distributions(path=folders) if folders else distributions())}
    return [each for each in wanted(paths=paths) if (each.name, each.version) not in installed]


def plain_name(name: str) -> str:
    """Return a package's name in the one spelling that counts (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def marker_holds(*, marker: str) -> bool:
    """Say whether an environment marker (PEP 508: comparisons joined by `and` and `or`) is true here.

    A comparison of a kind not known here counts as true: asking for one package too many is the safe side.
    """
    return any(all(_clause_holds(clause.strip()) for clause in part.split(" and ")) for part in marker.split(" or "))


def _clause_holds(clause: str) -> bool:
    match = _CLAUSE.match(clause)
    here = _here().get(match["name"]) if match else None
    if match is None or here is None:
        return True
    left: object = here
    right: object = match["value"]
    if match["name"].startswith("python"):
        left, right = _numbers(here), _numbers(match["value"])
    sign = match["sign"]
    if sign in ("==", "!="):
        return (left == right) is (sign == "==")
    first, second = _numbers(here), _numbers(match["value"])
    return {"<": first < second, "<=": first <= second, ">": first > second, ">=": first >= second}[sign]


def _here() -> dict[str, str]:
    return {
        "implementation_name": sys.implementation.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_system": platform.system(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _key(found: Distribution) -> tuple[str, str]:
    name = found.metadata["Name"]
    return (plain_name(name) if name else "", found.version)
