"""Posting a signed message to an address that somebody typed: only where it may go, once, and never for long.

The name is looked up here and the connection goes to the address that was judged, so that a name cannot point elsewhere a
moment later. Redirects are not followed: they would lead past the judgement.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fleet.lib.net import is_loopback

MOST_READ = 64 * 1024  # bytes of an answer; the rest is not looked at


class NotPosted(Exception):
    """No answer came, or the message may not go there; `sentence` says why. What was sent may have arrived all the same."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered: the HTTP status and the beginning of its text."""

    status: int
    text: str


def address_problem(url: str, *, private: bool) -> str:
    """Return the sentence that says why this address takes no message, or nothing. No name is looked up.

    `private` allows machines of one's own network and this one; plain HTTP goes to this very machine alone.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "This is not an address. Enter one like https://hooks.example.com/fleet."
    if parts.scheme not in ("https", "http") or not host:
        return "This is not a web address. Enter one that begins with https://."
    if parts.username or parts.password:
        return "The address holds a name or a password. Leave them out: the receiver checks the signature instead."
    if parts.scheme == "http" and not is_loopback(host):
        return "Messages go over HTTPS alone. Enter the address with https://."
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        if is_loopback(host) and not private:
            return _private_words(host)
        return ""
    return "" if private or literal.is_global else _private_words(host)


def post(url: str, *, body: bytes, headers: Mapping[str, str], timeout: float, private: bool) -> Answer:
    """Send one POST and return what came back, whatever its status; raise NotPosted where nothing did within `timeout` s."""
    problem = address_problem(url, private=private)
    if problem:
        raise NotPosted(problem)
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    connection = _Pinned(host, port, _judged(host, port, private=private), secure=secure, timeout=timeout)
    # A socket's own timeout begins anew with every byte: a receiver that drips would hold us for ever.
    deadline = threading.Timer(timeout, connection.cut)
    deadline.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body=body, headers=dict(headers))
        response = connection.getresponse()
        answer = Answer(response.status, response.read(MOST_READ).decode(errors="replace"))
        if connection.was_cut:
            raise TimeoutError  # the parser takes a cut for the end of the answer
        return answer
    except (OSError, http.client.HTTPException, ValueError) as error:
        if connection.was_cut or isinstance(error, TimeoutError):
            raise NotPosted(f"No answer from {host} within {timeout:g} s.") from None
        raise NotPosted(f"{host} could not be reached: {_words(error)}.") from None
    finally:
        deadline.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was judged, under the name that was typed."""

    def __init__(self, host: str, port: int, address: str, *, secure: bool, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address, self._secure = address, secure
        self.was_cut = False

    def connect(self) -> None:
        self.sock: Any = socket.create_connection((self._address, self.port), self.timeout)
        if self._secure:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """End the talk from another thread."""
        self.was_cut = True
        if self.sock is not None:
            with contextlib.suppress(OSError):  # it had ended by itself
                self.sock.shutdown(socket.SHUT_RDWR)


def _judged(host: str, port: int, *, private: bool) -> str:
    """Return the first address of `host`; every one of them must be allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotPosted(f"The name {host} is not known: {_words(error)}.") from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not private and not all(ipaddress.ip_address(address).is_global for address in addresses):
        raise NotPosted(_private_words(host))
    return addresses[0]


def _private_words(host: str) -> str:
    return (
        f"{host} lies inside of the network that this server is in, and messages do not go there."
        " Enter an address of the internet, or allow private addresses with FLEET_PRIVATE_WEBHOOKS=1."
    )


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__).rstrip(".")[:160]
