"""`manage.py rotate_secrets`: seal every secret anew with the first of the sealing keys."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleet.lib.text import count
from fleet.vault.rotation import rotate


class Command(BaseCommand):
    help = "Seal every secret anew with the first key of FLEET_SEAL_KEYS. Exit code 1 where one does not open."

    def handle(self, *args: Any, **options: Any) -> None:
        rotated = rotate()
        self.stdout.write(
            f"{count(rotated.resealed, 'secret')} sealed anew, {rotated.already:,} sealed with the first key already."
        )
        if rotated.broken:
            raise CommandError(
                f"{count(len(rotated.broken), 'secret does', 'secrets do')} not open with any of the present keys:"
                f" {', '.join(rotated.broken[:10])}. Add the key that sealed them behind the first one, and run this again.",
                returncode=1,
            )
        self.stdout.write("The first key opens every secret: the others can be removed from FLEET_SEAL_KEYS.")
