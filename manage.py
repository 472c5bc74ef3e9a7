#!/usr/bin/env python3
"""Run a command of Fleet OS: `python3 manage.py up` starts it, `python3 manage.py test` checks it.

This file alone is read by any Python 3, however old, so that the answer to an old one is a sentence.
"""

import importlib
import sys

OLDEST = (3, 11)


def refusal(version):
    """Return why Fleet OS does not run on the Python of that version (a tuple), or nothing."""
    if tuple(version[:2]) >= OLDEST:
        return ""
    return (
        "Fleet OS needs Python {}.{} or newer, and this is Python {}.{}. "
        "Start it with a newer one, for example: python3.11 manage.py up"
    ).format(*(OLDEST + tuple(version[:2])))


def main():
    """Refuse an old Python, else find or build the environment and run the command in it."""
    fault = refusal(sys.version_info)
    if fault:
        sys.exit(fault)
    # By name: its syntax is not an old Python's, and must not be read before the line above.
    importlib.import_module("fleet.management.install.bootstrap").main(manage=__file__, arguments=sys.argv[1:])


if __name__ == "__main__":
    main()
