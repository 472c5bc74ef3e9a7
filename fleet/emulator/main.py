"""The command line: one emulator as a process, until SIGTERM or SIGINT."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from fleet.emulator.app import Application
from fleet.emulator.contract.edition import NAMES
from fleet.emulator.provider import Provider
from fleet.emulator.reference import describe
from fleet.emulator.wire.access import AccessKey, Authenticator, parse_access_key
from fleet.emulator.wire.server import make_server
from fleet.emulator.world.settings import Settings

DEFAULT_KEY = AccessKey("emulator", "emulator-secret")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the emulator's options to a parser; `manage.py emulator` has the same."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8787, help="port to listen on, 0 for any free one")
    parser.add_argument("--instances", type=_count, default=300, help="size of the demo fleet (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same fleet")
    parser.add_argument("--speed", type=_speed, default=1.0, help="how many times faster machines live")
    parser.add_argument("--edition", choices=NAMES, default="2018", help="which reading of the reference holds")
    parser.add_argument("--state", type=Path, help="file that keeps the fleet over a restart")
    parser.add_argument(
        "--access-key",
        action="append",
        type=_access_key,
        metavar="ID:SECRET",
        help="a key that is let in, may be given again (default: emulator:emulator-secret)",
    )
    parser.add_argument("--describe", action="store_true", help="print the tables of what is emulated, and end")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from a command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="emulator", description="A local endpoint of the ECS API.")
    add_options(parser)
    return run(parser.parse_args(arguments))


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 if it cannot start."""
    if options.describe:
        print(describe())
        return 0
    settings = Settings(instances=options.instances, seed=options.seed, speed=options.speed, edition=options.edition)
    authenticator = Authenticator(options.access_key or [DEFAULT_KEY])
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    # The port is taken before the fleet is made, and nothing is served before it is.
    ready: list[Application] = []
    try:
        server = make_server(app=lambda *given: ready[0](*given), host=options.host, port=options.port)
    except OSError as error:
        text = f"Port {options.port} on {options.host} cannot be used: {error.strerror}. Give another with --port."
        print(text, file=sys.stderr)
        return 2
    try:
        provider = Provider(settings=settings, state=options.state)
    except Exception as error:
        print(f"The state file {options.state} cannot be used: {error}.", file=sys.stderr)
        server.server_close()
        return 2
    ready.append(Application(provider=provider, authenticator=authenticator))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fleet = sum(len(region.instances) for region in provider.regions.values())
    print(f"Emulator ready on http://{options.host}:{server.port} with {fleet} instances.", flush=True)
    stopped.wait()
    server.shutdown()
    thread.join()
    server.server_close()
    provider.close()
    return 0


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a port is a whole number from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) > 1_000_000:
        raise argparse.ArgumentTypeError("a number of instances is from 0 to 1000000")
    return int(text)


def _speed(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1e6:
        raise argparse.ArgumentTypeError("a speed is a number above 0, such as 60")
    return value


def _access_key(text: str) -> AccessKey:
    try:
        return parse_access_key(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
