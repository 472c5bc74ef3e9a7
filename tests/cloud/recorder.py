"""A proxy on loopback that passes bytes on and keeps what the client sent: what really goes over the wire."""

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Recorder:
    """Listens at `port`; `sent` is everything that clients sent, in order. Without a target it hangs up."""

    def __init__(self, target: int | None) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._chunks: list[bytes] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def sent(self) -> bytes:
        return b"".join(self._chunks)

    @property
    def request_lines(self) -> list[str]:
        return [line for line in self.sent.decode().split("\r\n") if line.endswith("HTTP/1.1")]

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            if self._target is None:
                self._start(self._hang_up, client)
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets.append(server)
            self._start(self._pass, client, server, True)
            self._start(self._pass, server, client, False)

    def _hang_up(self, client: socket.socket) -> None:
        with suppress(OSError):
            self._chunks.append(client.recv(65536))
        client.close()

    def _pass(self, source: socket.socket, sink: socket.socket, keep: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    self._chunks.append(data)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def recording(target: int | None) -> Iterator[Recorder]:
    recorder = Recorder(target)
    try:
        yield recorder
    finally:
        recorder.close()


class _Fixed(http.server.BaseHTTPRequestHandler):
    body = b""
    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def answering(body: bytes, *, status: int = 200) -> Iterator[int]:
    """Yield the port of a server that gives every request this answer: what no emulator of the API would."""
    handler = type("Handler", (_Fixed,), {"body": body, "status": status})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
