"""Fixtures of all tests: the database server, databases that keep commits, the site, the emulator."""

import gc
import os
import secrets
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django_q.conf import Conf
from pytest_django.live_server_helper import LiveServer
from pytest_django.plugin import DjangoDbBlocker
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from fleet.engine import pace
from fleet.lib.clock import ManualClock
from fleet.management.processes.guardian import Guardian
from tests.support import databases
from tests.support.databases import CommittedDatabase
from tests.support.emulator import Emulator, emulator_process
from tests.support.emulator_here import emulator_in_this_process
from tests.support.mirrored import MirroredFleets

LONG = ("slow", "browser", "process")  # marks, the longest first
# Files whose tests share what is costly to make, a world or an environment: two processes would make it twice.
# And tests of what one test leaves to the next.
WHOLE = (
    "tests/browser/",
    "tests/management/install/test_environment.py",
    "tests/management/testing/test_databases.py",
)
REPORTED = "reported"


def pytest_configure() -> None:
    """Replace what a running `up` may have left in var/, and what only makes tests slow."""
    settings.SECRET_KEY = Conf.SECRET_KEY = secrets.token_urlsafe(
        50
    )  # django-q2 keeps its own copy, to sign tasks with
    settings.SEAL_KEYS = [Fernet.generate_key().decode()]
    settings.STATIC_ROOT = settings.ROOT / "static"  # there is always one: whitenoise warns where it is missing
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


class SomeFilesWhole(LoadScopeScheduling):
    """Hands out tests one by one, but those of a file in WHOLE together."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::")[0]
        return path if path.startswith(WHOLE) else nodeid

    def remove_node(self, node: WorkerController) -> str | None:
        """Take back what a process that died had not begun, and return the test that it died in.

        pytest-xdist's own takes back also what was done. Whoever is dealt that has nothing to report, and waits for ever.
        """
        units = self.assigned_work.pop(node).items()
        undone = [(scope, test) for scope, tests in units for test, done in tests.items() if not done]
        if not undone:
            return None
        taken_back: OrderedDict[str, dict[str, bool]] = OrderedDict()
        for scope, test in undone[1:]:
            taken_back.setdefault(scope, {})[test] = False
        self.workqueue = taken_back | self.workqueue
        for each in self.assigned_work:
            self._reschedule(each)
        return undone[0][1]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SomeFilesWhole | None:
    """Hand out tests our way, also where pytest is called without `manage.py test`.

    The marks of pytest-xdist 3.8 do not do it: it writes the name of a group where pytest 9.2 does not read it any more.
    """
    return SomeFilesWhole(config, log) if config.getvalue("dist") in ("load", "loadscope") else None


@pytest.hookimpl(trylast=True)  # after pytest-django, which puts those without a database last
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse what would flush tables, and put the long ones first."""
    for item in items:
        marker = item.get_closest_marker("django_db")
        if marker and (marker.kwargs.get("transaction") or marker.args):
            raise pytest.UsageError(f"{item.nodeid}: use the fixture committed_db, not django_db(transaction=True)")
    # With several processes the run ends with its last test: what takes long must not begin late.
    items.sort(key=lambda item: next((at for at, mark in enumerate(LONG) if item.get_closest_marker(mark)), len(LONG)))


def pytest_collection_finish() -> None:
    """Let Python's garbage collector pass over what is loaded by now, and come less often: an eighth of the time was its."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 10)


@pytest.fixture(scope="session")
def guardian() -> Iterator[Guardian]:
    """What ends every child process of the session, also when pytest itself is killed."""
    guardian = Guardian()
    yield guardian
    guardian.close()


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A folder for servers' files that the database's user may pass through (pytest's own is closed)."""
    with tempfile.TemporaryDirectory(prefix="fleet-test-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def database_url(guardian: Guardian, session_folder: Path) -> Iterator[str]:
    """The address of the PostgreSQL of the session."""
    with databases.database_server(folder=session_folder, guardian=guardian) as url:
        yield url


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database_url: str) -> None:
    """Let Django connect to our server."""
    databases.point_django_at(url=database_url)


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_blocker: DjangoDbBlocker,
    testrun_uid: str,
    worker_id: str,
) -> Iterator[None]:
    """Give the process a migrated database, and the run a template of it that no test has touched.

    pytest-django's own makes a database only if a collected test bears its mark, which ours that commit do not.
    """
    with ExitStack() as made:
        with django_db_blocker.unblock():
            made.enter_context(databases.migrated_database(run=testrun_uid, worker=worker_id))
        yield
        with django_db_blocker.unblock():
            made.close()


@pytest.fixture
def committed_db(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[CommittedDatabase]:
    """A database of the test's own, for threads, servers and workers; children find it in DATABASE_URL."""
    if request.node.get_closest_marker("django_db") or "db" in request.fixturenames:
        pytest.fail("committed_db stands alone: without the fixture db and the mark django_db")
    with django_db_blocker.unblock(), databases.committed_database() as database:
        yield database


@pytest.fixture
def site(committed_db: CommittedDatabase) -> Iterator[LiveServer]:
    """The site over HTTP at `.url`, in a thread, on the test's own database."""
    server = LiveServer("localhost")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def emulator_server(guardian: Guardian, session_folder: Path) -> Iterator[Emulator]:
    """The emulator's process, one for the session: for tests of the wire, and of other processes."""
    with emulator_process(folder=session_folder, guardian=guardian) as server:
        yield server


@pytest.fixture
def emulator_on_the_wire(emulator_server: Emulator) -> Emulator:
    """An emulator that is reached over HTTP, with a fresh demo fleet, in which everything happens at once."""
    emulator_server.reset()
    return emulator_server


@pytest.fixture(scope="session")
def emulator_here() -> Iterator[Emulator]:
    """The emulator within this process, one for the session."""
    with emulator_in_this_process() as emulator:
        yield emulator


@pytest.fixture
def emulator(emulator_here: Emulator) -> Emulator:
    """The emulator with a fresh demo fleet, in which everything happens at once."""
    emulator_here.reset()
    return emulator_here


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    pace.forget()  # what this process knows of the test before
    return ManualClock(datetime.now(UTC))


@pytest.fixture(scope="session")
def mirrored_fleets(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[MirroredFleets]:
    """Databases of this process in which a demo fleet is mirrored already."""
    fleets = MirroredFleets()
    yield fleets
    with django_db_blocker.unblock():
        fleets.drop()


@pytest.fixture
def fleet(db: None, emulator_here: Emulator, mirrored_fleets: MirroredFleets) -> Iterator[Emulator]:
    """The emulator's demo fleet, mirrored into the database that the test uses."""
    with mirrored_fleets.of(emulator_here, instances=300):
        yield emulator_here


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say a line at the end of the run, also when all is green, from whichever process the test runs in."""
    return partial(record_property, REPORTED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests had to report; repeat, next to the closing line, which of the checks before the tests failed."""
    for each in chain.from_iterable(terminalreporter.stats.values()):
        if getattr(each, "when", "") == "call":
            for name, line in each.user_properties:
                if name == REPORTED:
                    terminalreporter.line(line)
    failed = os.environ.get("FLEET_FAILED_CHECKS")
    if failed:
        terminalreporter.section("checks", red=True, bold=True)
        terminalreporter.line(f"FAILED before the tests: {failed} (see above)", red=True)
