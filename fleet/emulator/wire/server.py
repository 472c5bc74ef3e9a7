"""The HTTP server: threads, one send for each answer, no access log, and the vendor's form even for what is not HTTP."""

import contextlib
import socket
import sys
import time
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from fleet.emulator.wire.errors import ApiError
from fleet.emulator.wire.messages import error_body, new_request_id

SILENCE_SECONDS = 20
LINGER_SECONDS = 2


class Handler(WSGIRequestHandler):
    """Handles one connection; a peer that falls silent is let go after `timeout` seconds."""

    timeout = SILENCE_SECONDS
    wbufsize = -1
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing: a request line holds what is secret."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing, and take no address apart for it, which fails on some."""

    def handle_expect_100(self) -> bool:
        """Tell a peer that waits for it to go on, once and without delay: werkzeug would tell it a second time."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        del self.headers["Expect"]
        return True

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        """Hang up: a dropped answer is a closed connection, not one that is silent until the client gives up."""
        self.close_connection = True

    def run_wsgi(self) -> None:
        """Answer a request; one whose address cannot even be split gets a vendor-shaped error."""
        if self.request_version == "HTTP/0.9":
            # It has no headers, so no signature of ours could be checked, and no answer would show its status.
            self.send_error(400)
            return
        try:
            super().run_wsgi()
        except ValueError:
            self.send_error(400)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is not HTTP in the vendor's form."""
        error = ApiError("InvalidParameter", 400, "The request is not well-formed HTTP.")
        body = error_body("XML", error, request_id=new_request_id(), host="ecs.aliyuncs.com")
        self.close_connection = True
        if self.request_version == "HTTP/0.9":
            self.request_version = "HTTP/1.1"
        self.send_response(error.status)
        self.send_header("Content-Type", "text/xml;charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self._let_the_peer_end()

    def _let_the_peer_end(self) -> None:
        """Read on until the peer hangs up: closing on bytes that were not read would reset the answer away."""
        deadline = time.monotonic() + LINGER_SECONDS
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                self.connection.settimeout(left)
                if not self.connection.recv(1 << 16):
                    return


class Server(ThreadedWSGIServer):
    """A threaded server that says nothing of a connection that broke."""

    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Name the kind of failure only, on stderr."""
        kind = sys.exc_info()[0]
        if kind is not None and not issubclass(kind, OSError):
            print(f"A connection failed with {kind.__name__}.", file=sys.stderr)


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket; raise OSError if the port is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(Server.request_queue_size)
    except BaseException:
        opened.close()
        raise
    return opened


def make_server(*, app: Any, host: str, port: int) -> Server:
    """Make a server that listens already; port 0 takes a free one, read it from `server.port`."""
    opened = listen(host, port)
    try:
        # The server takes the descriptor over and closes it.
        server = Server(host, opened.getsockname()[1], app, Handler, fd=opened.detach())
    except BaseException:
        opened.close()
        raise
    server.daemon_threads = True
    return server
