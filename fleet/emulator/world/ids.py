"""Ids in the vendor's form: a letter, the region's prefix, seventeen letters and digits."""

import secrets
from random import Random

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
LENGTH = 17
SPACE = len(ALPHABET) ** LENGTH


def seeded_id(letter: str, prefix: str, rng: Random) -> str:
    """Make an id that the seed decides."""
    return f"{letter}-{prefix}{_digits(rng.randrange(SPACE))}"


def new_id(letter: str, prefix: str) -> str:
    """Make an id that nobody can foresee, so that none comes twice, whatever is restarted."""
    return f"{letter}-{prefix}{_digits(secrets.randbelow(SPACE))}"


def _digits(number: int) -> str:
    text = ""
    for _ in range(LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        text += ALPHABET[digit]
    return text
