"""Posting a signed message to an address that somebody typed: only to an allowed address, once, and within a time limit.

The name is looked up here, and the connection is made to the very address that was checked, so that the name cannot point
elsewhere a moment later. Redirects are not followed: they would lead past the check.
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

MOST_READ = 64 * 1024  # bytes of an answer that are read


class NotPosted(Exception):
    """No answer came, or the message may not go there; `sentence` says why. The message may have arrived nevertheless."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered: the HTTP status and the beginning of the text."""

    status: int
    text: str


def address_problem(url: str, *, private: bool) -> str:
    """Return a sentence that says why no message goes to this address, or an empty text. No name is looked up.

    `private` allows addresses of private networks and of this machine. Plain HTTP is allowed to this machine alone.
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
    """Send one POST and return the answer, whatever its status; NotPosted where none came within `timeout` seconds."""
    problem = address_problem(url, private=private)
    if problem:
        raise NotPosted(problem)
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    connection = _Pinned(host, port, _checked_address(host, port, private=private), secure=secure, timeout=timeout)
    # The timeout of a socket begins again with every byte: a receiver that sends slowly would never let us go.
    deadline = threading.Timer(timeout, connection.cut)
    deadline.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body=body, headers=dict(headers))
        response = connection.getresponse()
        answer = Answer(response.status, response.read(MOST_READ).decode(errors="replace"))
        if connection.was_cut:
            raise TimeoutError  # the parser takes the cut connection for the end of the answer
        return answer
    except (OSError, http.client.HTTPException, ValueError) as error:
        if connection.was_cut or isinstance(error, TimeoutError):
            raise NotPosted(f"No answer from {host} within {timeout:g} s.") from None
        raise NotPosted(f"{host} could not be reached: {_words(error)}.") from None
    finally:
        deadline.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was checked, under the name that was typed."""

    def __init__(self, host: str, port: int, address: str, *, secure: bool, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address, self._secure = address, secure
        self.was_cut = False

    def connect(self) -> None:
        self.sock: Any = socket.create_connection((self._address, self.port), self.timeout)
        if self._secure:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)

    def cut(self) -> None:
        """Cut the connection from another thread."""
        self.was_cut = True
        if self.sock is not None:
            with contextlib.suppress(OSError):  # it has ended by itself already
                self.sock.shutdown(socket.SHUT_RDWR)


def _checked_address(host: str, port: int, *, private: bool) -> str:
    """Return the first address of `host`; NotPosted unless every one of its addresses is allowed."""
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
