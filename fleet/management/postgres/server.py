"""The embedded PostgreSQL: the binaries of a wheel, started and stopped by us, reached by a Unix socket.

The wheel's own server manager is not used: it leaves the server running after a `kill -9`, opens parent
folders when root starts it, and trusts every local user.
"""

import contextlib
import logging
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg import sql

from fleet.management.postgres.home import ELSEWHERE, Home, choose_home
from fleet.management.processes.child import CannotStart, Process, spawn, tail
from fleet.management.processes.guardian import Guardian
from fleet.management.var_folder import kept_secret

log = logging.getLogger(__name__)

ROLE = DATABASE = "fleet"
READY_WITHIN = 300.0  # seconds; replaying the log after a crash of a large database takes its time
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A value must not reach the server's log, whatever statement fails. Even an error's first line can quote one
    # ("invalid input syntax for type integer: ..."), so errors go to the client alone; LOG, FATAL and PANIC are kept.
    "log_min_messages": "log",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
}
VOLATILE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # Of the rows of an open transaction, in which most tests end, it sees nothing: what it counts would tell the planner
    # that large tables are empty.
    "autovacuum": "off",
}


class EmbeddedPostgres:
    """A PostgreSQL of our own in `folder`, which only one process may use at a time; the caller sees to that.

    `durable=False` is for tests: it forgets all in a power cut, and never cleans up by itself.
    """

    def __init__(
        self,
        *,
        folder: Path,
        guardian: Guardian,
        logfile: Path,
        durable: bool = True,
        elsewhere: Path = ELSEWHERE,
    ) -> None:
        self._folder = folder
        self._elsewhere = elsewhere
        self._guardian = guardian
        self._logfile = logfile
        self._durable = durable
        self._process: Process | None = None

    @property
    def process(self) -> Process | None:
        """The running postmaster, or None."""
        return self._process

    def start(self) -> str:
        """Make the database if there is none, start the server, and return its address once it answers.

        Raises `CannotStart` with a sentence, and the end of the server's log, when it does not come up.
        """
        home = choose_home(folder=self._folder, elsewhere=self._elsewhere)
        password = _password(home, path=self._folder / "postgres-password")
        _end_leftovers(home)
        if not (home.data / "PG_VERSION").exists():
            _initialise(home, password=password, durable=self._durable)
        _check_version(home)
        self._process = spawn(
            name="PostgreSQL",
            command=[home.program("postgres"), "-D", home.data, "-k", home.socket, *self._options()],
            guardian=self._guardian,
            log=self._logfile,
            environment=_environment(),
            folder=Path("/"),
            stop_with=signal.SIGINT,  # "fast": ends the sessions, writes everything, leaves
            grace=30.0,
            user=home.user,
        )
        address = f"postgresql://{ROLE}:{password}@/{{}}?host={quote(str(home.socket), safe='')}"
        try:
            _make_database(self._connect(address.format("postgres")))
        except BaseException:
            self.stop()
            raise
        return address.format(DATABASE)

    def stop(self) -> None:
        """Stop the server; does nothing when it does not run."""
        if self._process:
            self._process.stop()
            self._process = None

    def _options(self) -> list[str]:
        settings = SETTINGS if self._durable else SETTINGS | VOLATILE
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _connect(self, address: str) -> "psycopg.Connection[tuple[object, ...]]":
        assert self._process
        end = time.monotonic() + READY_WITHIN
        while True:
            try:
                return psycopg.connect(address, autocommit=True, connect_timeout=5)
            except psycopg.OperationalError as error:
                reason = str(error)
            if "password authentication failed" in reason:
                raise CannotStart(f"The password in {self._folder / 'postgres-password'} is not the database's.")
            if self._process.exit_code is not None or time.monotonic() > end:
                end_of_log = tail(path=self._logfile)
                raise CannotStart(f"PostgreSQL did not start ({self._logfile}):\n{end_of_log}\n{reason.strip()}")
            time.sleep(0.03)


def _password(home: Home, *, path: Path) -> str:
    if (home.data / "PG_VERSION").exists() and not path.exists():
        raise CannotStart(
            f"{path} is missing, and without it the database in {home.data.parent} cannot be opened. "
            "Put the file back, or move that folder away to start with an empty database."
        )
    return kept_secret(path=path, make=lambda: secrets.token_urlsafe(32))


def _environment() -> dict[str, str]:
    # Not ours: PGPORT, PGDATA and their like would change what is started.
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _initialise(home: Home, *, password: str, durable: bool) -> None:
    """Make an empty cluster and move it in place when it is whole: an interrupted one is never used."""
    partial = home.data.with_name("data.partial")
    shutil.rmtree(partial, ignore_errors=True)
    # Beside the data because the server's user must read it; nobody else enters that folder.
    passing = home.data.with_name("password.partial")
    passing.unlink(missing_ok=True)
    with open(os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password)
    try:
        if home.user:
            os.chown(passing, home.user.uid, home.user.gid)
        made = subprocess.run(
            [
                *(home.program("initdb"), "-D", partial, "-U", ROLE, f"--pwfile={passing}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                *(() if durable else ("--no-sync",)),
            ],
            user=home.user.uid if home.user else None,
            group=home.user.gid if home.user else None,
            extra_groups=[] if home.user else None,
            env=_environment(),
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        passing.unlink(missing_ok=True)
    if made.returncode:
        raise CannotStart(f"PostgreSQL could not make its database in {home.data.parent}:\n{made.stdout.strip()}")
    partial.rename(home.data)


def _check_version(home: Home) -> None:
    data = (home.data / "PG_VERSION").read_text().strip()
    printed = subprocess.run(
        [home.program("postgres"), "--version"],
        capture_output=True,
        text=True,
        check=True,
        env=_environment(),
    )
    program = printed.stdout.split()[-1].split(".")[0]
    if data != program:
        raise CannotStart(
            f"The database in {home.data} was made by PostgreSQL {data}; installed is PostgreSQL {program}. "
            f"Dump it with version {data} and load it again, or move the folder away to start afresh."
        )


def _end_leftovers(home: Home) -> None:
    """End servers that a killed start left on this data folder, and remove the notes of one that is gone.

    A process is ours only if it is a `postgres` whose working folder is our data: the process id in the
    note may have been given to something else since.
    """
    left = _servers_on(home.data)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
    _, stubborn = psutil.wait_procs(left, timeout=10)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=10)
    if left:
        log.info("Ended %s processes of an earlier PostgreSQL.", len(left))
    # Notes of a process that is gone, or a zombie nobody reaps: PostgreSQL would take either for a living server.
    for note in (home.data / "postmaster.pid", *home.socket.glob(".s.PGSQL.*")):
        note.unlink(missing_ok=True)


def _servers_on(data: Path) -> list[psutil.Process]:
    found = []
    wanted = os.path.realpath(data)
    for process in psutil.process_iter(["name", "cwd", "status"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == wanted:
            found.append(process)
    return found


def _make_database(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    with connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if not known:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
