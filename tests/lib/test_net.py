"""What counts as this very machine, and what only looks like it."""

import pytest

from fleet.lib.net import is_loopback

THIS_MACHINE = [
    "localhost",
    "LOCALHOST.",
    "localhost:8000",
    "127.0.0.1",
    "127.0.0.1:8700",
    "127.1.2.3",
    "127.255.255.254:65535",
    "::1",
    "[::1]",
    "[::1]:8700",
    "::ffff:127.0.0.1",
    "[::ffff:127.0.0.1]:80",
    "0:0:0:0:0:0:0:1",
]
ANOTHER_MACHINE = [
    "localhost.corp.example",
    "localhost.corp.example:8000",
    "localhostess",
    "notlocalhost",
    "127.0.0.1.nip.io",
    "127.example.com:80",
    "10.0.0.1",
    "10.0.0.1:80",
    "128.0.0.1",
    "::2",
    "[::2]:80",
    "::ffff:10.0.0.1",
    "[fe80::1]:80",
    "ecs.cn-hangzhou.aliyuncs.com",
]
UNREADABLE = [
    "",
    ":",
    ":80",
    ".",
    "[]",
    "[::1",
    "::1]",
    "[[::1]]",
    "[127.0.0.1]",
    "[localhost]",
    "::1:8700",
    "127.1",
    "0127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:port",
    "127.0.0.1:8700\n",
    " localhost",
    "localhost..",
    "127.0.0.1/@example.com",
    "127.0.0.1@example.com",
    "http://127.0.0.1",
    "\0",
    "١٢٧.0.0.1",
]


@pytest.mark.parametrize("host", THIS_MACHINE)
def test_this_machine_is_known_by_name_and_by_every_way_to_write_its_addresses(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ANOTHER_MACHINE)
def test_another_machine_is_not_taken_for_this_one_whatever_its_name_begins_with(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", UNREADABLE)
def test_what_cannot_be_read_is_not_this_machine(host: str) -> None:
    assert not is_loopback(host)
