"""Typed access to the parameters of a call; an empty value counts as absent, as with the vendor."""

import json
import re
from collections.abc import Mapping

from fleet.emulator.wire.errors import ApiError, common_error, missing, not_valid

NUMBER = re.compile(r"\.[0-9]+(?=\.|$)")
WHOLE = re.compile(r"-?[0-9]{1,18}")


def pattern_of(name: str) -> str:
    """Return the documented name of a parameter: Tag.1.Key is Tag.N.Key."""
    return NUMBER.sub(".N", name)


class Params:
    """The parameters of one call by name, common ones included."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values

    def get(self, name: str, default: str = "") -> str:
        """Return a text, or `default`."""
        return self.values.get(name) or default

    def require(self, name: str) -> str:
        """Return a text that must be there, or raise MissingParameter."""
        value = self.get(name)
        if not value:
            raise missing(name)
        return value

    def boolean(self, name: str) -> bool | None:
        """Return true or false in any case of letters, None if absent; raise InvalidParameter."""
        value = self.get(name).lower()
        if not value:
            return None
        if value not in ("true", "false"):
            raise not_valid(name)
        return value == "true"

    def integer(self, name: str) -> int | None:
        """Return a whole number, None if absent; raise InvalidParameter."""
        value = self.get(name)
        if not value:
            return None
        if not WHOLE.fullmatch(value):
            raise not_valid(name)
        return int(value)

    def choice(self, name: str, *allowed: str, default: str = "") -> str:
        """Return one of the allowed words; raise InvalidParameter."""
        value = self.get(name, default)
        if value and value not in allowed:
            raise not_valid(name)
        return value

    def json_list(self, name: str, *, most: int = 100, error: ApiError | None = None) -> list[str] | None:
        """Return the texts of a JSON array such as ["i-1","i-2"], None if absent."""
        value = self.get(name)
        if not value:
            return None
        try:
            items = json.loads(value)
        except (ValueError, RecursionError):
            raise not_valid(name) from None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise not_valid(name)
        if len(items) > most:
            raise error or not_valid(name)
        return list(dict.fromkeys(items))

    def repeated(self, name: str) -> list[str]:
        """Return the values of Name.1, Name.2, ... in the order of their numbers, each once."""
        found: dict[int, str] = {}
        prefix = name + "."
        for key, value in self.values.items():
            tail = key[len(prefix) :]
            if key.startswith(prefix) and value and len(tail) <= 9 and tail.isascii() and tail.isdigit():
                found[int(tail)] = value
        return list(dict.fromkeys(found[index] for index in sorted(found)))

    def pairs(self, name: str, first: str = "Key", second: str = "Value") -> list[tuple[str, str]]:
        """Return Name.N.Key with Name.N.Value, in the order of N; the second may be empty."""
        found: dict[int, str] = {}
        for key, value in self.values.items():
            parts = key.split(".")
            if len(parts) == 3 and parts[0] == name and parts[2] == first and value and parts[1].isascii():
                if not parts[1].isdigit() or len(parts[1]) > 9:
                    continue
                found[int(parts[1])] = value
        return [(found[n], self.get(f"{name}.{n}.{second}")) for n in sorted(found)]

    def tags(self, name: str = "Tag") -> list[tuple[str, str]]:
        """Return the tags of a call as (key, value); at most 20."""
        tags = self.pairs(name)
        if len(tags) > 20:
            raise common_error("NumberExceed.Tags")
        for key, value in tags:
            if len(key) > 128:
                raise common_error("InvalidTagKey.Malformed")
            if len(value) > 128:
                raise common_error("InvalidTagValue.Malformed")
        return tags

    def business(self, *without: str) -> dict[str, str]:
        """Return what the caller asked for: no protocol parameters, nothing of `without`."""
        return {k: v for k, v in self.values.items() if v and k not in PROTOCOL and k not in without}


PROTOCOL = frozenset(
    (
        *("Action", "Version", "Format", "AccessKeyId", "SecurityToken", "Timestamp", "AcceptLanguage"),
        *("Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "SignatureType"),
        *("OwnerAccount", "OwnerId", "ResourceOwnerAccount", "ResourceOwnerId"),
    )
)
