"""The emulator as a process, with what tests need of it: its address, its output, and ways to end it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.emulator.caller import Answer, encode, signed

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Running:
    """A process that is ready."""

    process: "subprocess.Popen[str]"
    port: int

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        status, text = self.request(method, f"/__emulator__/{path}", body)
        assert status == 200, text
        return json.loads(text)

    def call(self, action: str, **values: str) -> Answer:
        full = signed("POST", {"Action": action, "Format": "JSON", **values}, at=time.time())
        status, text = self.request("POST", f"/?{encode(full)}")
        return Answer(status, text, json.loads(text))

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """End it by a signal; return its exit code and what it said."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextmanager
def running(*options: str, instances: int = 40) -> Iterator[Running]:
    """Run an emulator for the length of the block."""
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet.emulator", "--port", "0", "--instances", str(instances), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Emulator ready on http://127.0.0.1:"), line
        yield Running(process, int(line.split("127.0.0.1:")[1].split()[0]))
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
