"""`manage.py audit_verify`: walk the whole audit chain, and compare it with heads that were kept elsewhere."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleet.audit.verify import verify


def _head(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != 64:
        raise ArgumentTypeError("A head is NUMBER:HASH, as the audit page and an export show it.")
    return int(number), digest


class Command(BaseCommand):
    help = "Walk the whole audit chain. Exit code 1 where it is not whole."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--expect",
            type=_head,
            action="append",
            default=[],
            metavar="NUMBER:HASH",
            help="a head that was kept elsewhere",
        )

    def handle(self, *, expect: list[tuple[int, str]], **options: Any) -> None:
        verdict = verify(expected=dict(expect))
        if not verdict.whole:
            raise CommandError(f"The chain is broken at event {verdict.broken_at}: {verdict.why}.", returncode=1)
        self.stdout.write(f"The chain is whole: {verdict.events:,} events, head {verdict.events}:{verdict.head}")
