"""Ask an account's API what the key may do, reading only."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleet.inventory.probe import FAULT, probe
from fleet.lib.clock import DatabaseClock
from fleet.lib.text import count
from fleet.models import Account


class Command(BaseCommand):
    help = "Check permissions, quotas and the shape of answers of every account, or of one; nothing is changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", nargs="?", default="", help="the account's name; without it all of them")

    def handle(self, *, account: str, **options: Any) -> None:
        accounts = Account.objects.select_related("credential").order_by("name")
        found = list(accounts.filter(name=account) if account else accounts)
        if not found:
            names = ", ".join(accounts.values_list("name", flat=True)) or "none yet"
            raise CommandError(f"There is no such account. Accounts: {names}.")
        faults = sum(self._one(one) for one in found)
        if faults:
            raise CommandError(f"{count(faults, 'fault')}. What is missing stands above.")

    def _one(self, account: Account) -> int:
        """Print the report of one account; return how many faults it has."""
        state = "executes" if account.executes else "in observe"
        where = account.endpoint or "the public endpoint"
        self.stdout.write(f"{account}: {state}, edition {account.edition}, {where}")
        faults = 0
        for finding in probe(account, DatabaseClock().now()):
            faults += finding.level == FAULT
            line = f"  {finding.level:<6}{finding.right:<40}{finding.region:<16}{finding.words}"
            self.stdout.write(line.rstrip())
        return faults
