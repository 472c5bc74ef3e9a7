"""Where a message may go, and for how long: over real sockets."""

import socket
import time
from typing import Any

import pytest

from fleet.lib.posting import NotPosted, address_problem, post
from tests.support.receiver import receiver


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hooks.example.com/x", "over HTTPS alone"),
        ("ftp://hooks.example.com/x", "not a web address"),
        ("https://", "not a web address"),
        ("hooks.example.com", "not a web address"),
        ("https://me:secret@hooks.example.com/", "Leave them out"),
        ("https://[bad/", "not an address"),
        ("https://hooks.example.com:99999/", "not an address"),
        ("https://10.0.0.7/x", "inside of the network"),
        ("https://169.254.169.254/latest", "inside of the network"),
        ("https://100.100.100.200/latest", "inside of the network"),
        ("https://[fd00::1]/", "inside of the network"),
        ("https://[::ffff:10.0.0.7]/", "inside of the network"),
        ("https://127.0.0.1/x", "inside of the network"),
        ("http://localhost/x", "inside of the network"),
    ],
)
def test_an_address_that_takes_no_message_says_why(url: str, words: str) -> None:
    assert words in address_problem(url, private=False)


@pytest.mark.parametrize("url", ["https://hooks.example.com/x", "https://8.8.8.8:8443/x?y=1"])
def test_an_address_of_the_internet_is_taken(url: str) -> None:
    assert address_problem(url, private=False) == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://localhost:9/x", "https://10.0.0.7/x"])
def test_ones_own_network_is_taken_where_that_is_allowed_and_plain_http_only_on_this_machine(url: str) -> None:
    assert address_problem(url, private=True) == ""
    assert "over HTTPS alone" in address_problem("http://10.0.0.7/x", private=True)


def test_a_name_that_leads_inside_is_refused_when_it_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of its addresses is enough: which one would be taken is not ours to say."""

    def looked_up(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, 1, 6, "", (address, port)) for address in ("93.184.216.34", "10.0.0.7")]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    with pytest.raises(NotPosted, match="inside of the network"):
        post("https://hooks.example.com/", body=b"{}", headers={}, timeout=1, private=False)


def test_it_is_posted_once_with_body_headers_path_and_query() -> None:
    with receiver() as there:
        answer = post(there.url, body=b'{"a":1}', headers={"x-mine": "1"}, timeout=5, private=True)
        assert answer.status == 200
        [(path, headers, body)] = there.got
    assert (path, body, headers["x-mine"]) == ("/hook?room=1", b'{"a":1}', "1")


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    with receiver() as there, receiver() as elsewhere:
        there.answers, there.location = [307], elsewhere.url
        assert post(there.url, body=b"{}", headers={}, timeout=5, private=True).status == 307
        assert elsewhere.got == []


def test_a_receiver_that_drips_does_not_hold_us_longer_than_the_whole_time() -> None:
    with receiver() as there:
        there.drips = True
        begin = time.monotonic()
        with pytest.raises(NotPosted, match=r"No answer from 127.0.0.1 within 0.4 s"):
            post(there.url, body=b"{}", headers={}, timeout=0.4, private=True)
        assert time.monotonic() - begin < 5


def test_nobody_there_is_a_sentence() -> None:
    with receiver() as there:
        url = there.url
    with pytest.raises(NotPosted, match="could not be reached"):
        post(url, body=b"{}", headers={}, timeout=2, private=True)
