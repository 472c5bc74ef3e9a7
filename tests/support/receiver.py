"""A receiver of webhooks on this machine, over real HTTP: it keeps what came and answers as it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer


@dataclass
class Receiver:
    """`answers` are the statuses to come, the last one for ever; `hold` is set when a slow answer may go on."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [200])
    location: str = ""
    drips: bool = False
    hold: threading.Event = field(default_factory=threading.Event)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listen on a free port of the loopback."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if kept.drips:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not kept.hold.wait(0.05):
                    self.wfile.write(b"x")
                return
            self.send_response(kept.answers.pop(0) if len(kept.answers) > 1 else kept.answers[0])
            if kept.location:
                self.send_header("Location", kept.location)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/hook?room=1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield kept
    finally:
        kept.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()
