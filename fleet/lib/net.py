"""Whether an address is this very machine: one rule for endpoints, for webhooks and for the page that takes a password."""

import ipaddress
import re

_HOST_AND_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]|(?P<name>[^:\[\]]*))(?::[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine: `localhost`, 127.0.0.0/8 or ::1, with or without a port.

    `host` is what stands between `//` and the path of a URL; an IPv6 address may do without its brackets where no port
    follows. No name is looked up: whatever it begins with, any name but `localhost` may lead anywhere. What cannot be
    read is not this machine.
    """
    found = _HOST_AND_PORT.fullmatch(host)
    bare = found["v6"] or found["name"] if found else host
    if bare.lower().removesuffix(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (inner or address).is_loopback
