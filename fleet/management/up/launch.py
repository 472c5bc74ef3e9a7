"""Start everything for `manage.py up`, in order, and keep it running until somebody asks to stop."""

import contextlib
import os
import secrets
import socket
import sys
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet.management.postgres.server import EmbeddedPostgres
from fleet.management.processes.child import CannotStart, Process, clean_environment, port_fault, spawn, tail, wait_for
from fleet.management.processes.guardian import Guardian
from fleet.management.processes.stop_signal import Stop
from fleet.management.up.services import Service, Services
from fleet.management.var_folder import FolderLock, kept_secret, make_folder, write_private

READY_WITHIN = 60.0  # seconds for the web server and the emulator to answer
DEFAULT_HOSTS = ("localhost", "127.0.0.1", "[::1]")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
EVERYWHERE = ("0.0.0.0", "::", "")
SIGN_INS = ("operator", "reviewer", "auditor", "admin")


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """What the person who types `up` asks for; `instances`: how many machines a new demo fleet has (None: the usual number)."""

    root: Path
    folder: Path
    host: str
    port: int
    emulator_port: int
    speed: float
    instances: int | None
    emulator: bool

    @property
    def address(self) -> str:
        """The site's address; by name, because security keys refuse an IP address."""
        name = "localhost" if self.host in LOOPBACK + EVERYWHERE else self.host
        return f"http://{name}:{self.port}/"


class Interrupted(Exception):
    """Somebody asked to stop while things were still starting."""


class Launch:
    """One run of `up`, from the first check to the end of the last process."""

    def __init__(self, *, options: UpOptions, stop: Stop, say: Callable[[str], None]) -> None:
        self._options = options
        self._stop = stop
        self._say = say
        self._logs = options.folder / "log"
        self._url_file = options.folder / "database.url"
        self._environment: dict[str, str] = {}
        self._guardian: Guardian

    def run(self) -> None:
        """Start everything, say where it is and keep it running; raises `CannotStart` when something is in the way."""
        make_folder(path=self._options.folder)
        self._logs.mkdir(exist_ok=True)
        (self._options.folder / "static").mkdir(exist_ok=True)  # whitenoise warns where it is missing
        lock = FolderLock(folder=self._options.folder)
        lock.take(say=self._say)
        try:
            self._check_ports()
            self._guardian = Guardian(keep=(lock.handle,))
            try:
                self._run_all()
            finally:
                self._guardian.close()
        finally:
            lock.release()

    def _check_ports(self) -> None:
        options = self._options
        if options.emulator and options.port == options.emulator_port:
            raise CannotStart(f"--port and --emulator-port are both {options.port}. Give two different ports.")
        asked = [(options.host, options.port, "--port")]
        if options.emulator:
            asked.append(("127.0.0.1", options.emulator_port, "--emulator-port"))
        # After a kill of everything, guardian included, the last one's children may still be ending.
        patience = 5.0 if self._url_file.exists() else 0.0
        for host, port, option in asked:
            fault = ""

            def is_free(host: str = host, port: int = port, option: str = option) -> bool:
                nonlocal fault
                fault = port_fault(host=host, port=port, option=option)
                return not fault

            if not wait_for(what=is_free, seconds=patience):
                raise CannotStart(fault)

    def _run_all(self) -> None:
        services = Services(guardian=self._guardian, stop=self._stop, say=self._say)
        try:
            self._start(services)
            self._say(self._welcome())
            services.watch()
        except Interrupted:
            pass
        finally:
            self._say("Stopping.")
            services.stop()
            self._url_file.unlink(missing_ok=True)
            self._say("Stopped.")

    def _start(self, services: Services) -> None:
        options = self._options
        kept_secret(path=options.folder / "secret-key", make=lambda: secrets.token_urlsafe(50))
        kept_secret(path=options.folder / "seal-keys", make=lambda: urlsafe_b64encode(os.urandom(32)).decode())
        self._environment = clean_environment(without_proxies=options.emulator, FLEET_VAR=str(options.folder))
        with self._step("PostgreSQL"):
            self._start_database(services)
        if options.emulator:
            services.start(Service(name="emulator", turn=2, start=self._emulator))
        with self._step("tables"):
            self._command("migrate", "--no-input")
        services.start(Service(name="web", turn=0, start=self._web))
        if options.emulator:
            with self._step("emulator"):
                self._await(services, "emulator", f"http://127.0.0.1:{options.emulator_port}/__emulator__/health")
            with self._step("demo"):
                self._command(
                    "demo",
                    f"--emulator-port={options.emulator_port}",
                    environment={"FLEET_DEMO_PASSWORD": self._demo_password()},
                )
        with self._step("inventory"):
            self._first_sync()
        services.start(Service(name="worker", turn=1, start=self._worker))
        with self._step("web"):
            self._await(services, "web", f"http://{self._probe_host()}:{options.port}/healthz")

    def _start_database(self, services: Services) -> None:
        given = os.environ.get("DATABASE_URL")
        if given:
            self._environment["DATABASE_URL"] = given
            return
        server = EmbeddedPostgres(
            folder=self._options.folder, guardian=self._guardian, logfile=self._logs / "postgres.log"
        )

        def start() -> Process:
            url = server.start()
            write_private(path=self._url_file, text=url)
            assert server.process
            return server.process

        services.start(Service(name="PostgreSQL", turn=3, start=start))

    def _emulator(self) -> Process:
        options = self._options
        state = options.folder / "emulator.db"
        fresh = () if options.instances is None else ("--instances", str(options.instances))
        return self._child(
            "emulator",
            *("-m", "fleet.emulator", "--port", str(options.emulator_port)),
            *("--speed", f"{options.speed:g}", "--state", str(state), *fresh),
        )

    def _web(self) -> Process:
        options = self._options
        shared_memory = Path("/dev/shm")
        beats = ("--worker-tmp-dir", str(shared_memory)) if os.access(shared_memory, os.W_OK) else ()
        host = f"[{options.host}]" if ":" in options.host else options.host
        return self._child(
            "web",
            *("-m", "gunicorn", "fleet.wsgi:application", "--bind", f"{host}:{options.port}"),
            *("--worker-class", "gthread", "--workers", "2", "--threads", "8", "--graceful-timeout", "8"),
            *("--no-control-socket", "--log-level", "warning", *beats),
            environment={"FLEET_HOSTS": os.environ.get("FLEET_HOSTS") or ",".join(self._host_names())},
        )

    def _worker(self) -> Process:
        # Links in messages begin with the site's address.
        site = os.environ.get("FLEET_SITE_URL") or f"http://localhost:{self._options.port}"
        manage = str(self._options.root / "manage.py")
        return self._child("worker", manage, "worker", grace=20.0, environment={"FLEET_SITE_URL": site})

    def _child(
        self, name: str, *arguments: str, grace: float = 10.0, environment: dict[str, str] | None = None
    ) -> Process:
        return spawn(
            name=name,
            command=[sys.executable, *arguments],
            guardian=self._guardian,
            log=self._logs / f"{name}.log",
            environment=self._environment | (environment or {}),
            folder=self._options.root,
            grace=grace,
        )

    def _command(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        """Run a command of manage.py to its end; raises `CannotStart` with the end of its log if it fails."""
        child = self._child("setup", str(self._options.root / "manage.py"), *arguments, environment=environment)
        try:
            while child.exit_code is None:
                if self._stop.wait(seconds=0.2):
                    raise Interrupted
        finally:
            child.stop()
        if child.exit_code:
            raise CannotStart(f"manage.py {arguments[0]} failed ({self._logs / 'setup.log'}):\n{self._tail('setup')}")

    def _first_sync(self) -> None:
        try:
            self._command("sync")
        except CannotStart as refused:
            # A cloud that is away or a key that is wrong keeps nobody from signing in.
            self._say(f"{refused}\nThe worker goes on trying.")

    def _await(self, services: Services, name: str, url: str) -> None:
        """Wait until the service answers over HTTP, whatever it says."""
        end = time.monotonic() + READY_WITHIN
        while not _answers(url):
            if self._stop.wait(seconds=0.05):
                raise Interrupted
            if services.ended(name) or time.monotonic() > end:
                raise CannotStart(f"The {name} did not start ({self._logs / name}.log):\n{self._tail(name)}")

    def _tail(self, name: str) -> str:
        return tail(path=self._logs / f"{name}.log")

    def _demo_password(self) -> str:
        given = os.environ.get("FLEET_DEMO_PASSWORD")
        # Four groups that a person can type from a screen.
        return given or kept_secret(
            path=self._options.folder / "demo-password",
            make=lambda: "-".join(secrets.token_hex(2) for _ in range(4)),
        )

    def _host_names(self) -> list[str]:
        host = self._options.host
        if host in LOOPBACK:
            return [*DEFAULT_HOSTS]
        return [*DEFAULT_HOSTS, socket.gethostname(), *(() if host in EVERYWHERE else (host,))]

    def _probe_host(self) -> str:
        host = "127.0.0.1" if self._options.host in (*EVERYWHERE, "localhost") else self._options.host
        return f"[{host}]" if ":" in host else host

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Say what is being done, and how long it took; on a terminal before it is done, too."""
        if self._stop.asked:
            raise Interrupted
        begin = time.monotonic()
        self._overwrite(f"  {name:<12} ...")
        try:
            yield
        finally:
            self._overwrite("\r\033[K")
        self._say(f"  {name:<12} {time.monotonic() - begin:5.1f} s")

    def _overwrite(self, text: str) -> None:
        with contextlib.suppress(OSError):
            if sys.stdout.isatty():
                sys.stdout.write(text)
                sys.stdout.flush()

    def _welcome(self) -> str:
        lines = ["", f"Fleet OS is at {self._options.address}"]
        if self._options.emulator:
            lines += [
                f"Sign in as {', '.join(SIGN_INS[:-1])} or {SIGN_INS[-1]}; the password of all four: "
                f"{self._demo_password()}",
                "The machines are those of the emulator: nothing here reaches a real account.",
            ]
        return "\n".join([*lines, f"Logs are in {self._logs}. Ctrl-C ends everything.", ""])


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=5).close()
    except urllib.error.HTTPError as answer:
        answer.close()
        return True
    except OSError:
        return False
    return True
