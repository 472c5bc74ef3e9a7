"""Set up the account and the people of the demo: `up` calls it, any number of times."""

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from fleet.cloud import CloudError, EcsClient
from fleet.cloud.types import Credential
from fleet.inventory.credentials import seal_credential
from fleet.lib.secret import SealBroken, Secret, unseal
from fleet.models import Account, Grant, Role, SealedSecret, User

ACCOUNT = "demo"
ACCESS_KEY_ID, ACCESS_KEY_SECRET = "emulator", "emulator-secret"
# What the emulator has, where it is not up yet.
REGIONS = ["cn-hangzhou", "cn-shanghai", "ap-southeast-1"]
PEOPLE = {
    "operator": Role.OPERATOR,
    "reviewer": Role.APPROVER,
    "auditor": Role.AUDITOR,
    "admin": Role.ADMIN,
}


class Command(BaseCommand):
    help = "Create or update the account of the local emulator, and four people with the demo password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--emulator-port", type=int, default=8700)

    def handle(self, *, emulator_port: int, **options: Any) -> None:
        endpoint = f"127.0.0.1:{emulator_port}"
        regions = _regions(endpoint)
        with transaction.atomic():
            _account(endpoint, regions)
            _people(os.environ.get("FLEET_DEMO_PASSWORD", ""))


def _regions(endpoint: str) -> list[str]:
    """Return the regions that the emulator shows, empty where none answers."""
    client = EcsClient(
        endpoint=endpoint,
        region=REGIONS[0],
        credential=Credential(ACCESS_KEY_ID, Secret(ACCESS_KEY_SECRET)),
    )
    try:
        return [region.region_id for region in client.describe_regions()]
    except CloudError:
        return []


def _account(endpoint: str, regions: list[str]) -> None:
    account, created = Account.objects.get_or_create(
        name=ACCOUNT,
        defaults={
            "edition": "2018",
            "endpoint": endpoint,
            "regions": regions or REGIONS,
            "executes": True,
            "guard_lifted": True,
        },
    )
    if not created:
        account.endpoint = endpoint
        account.regions = regions or account.regions
    if not _opens(account.credential):
        account.credential = seal_credential(access_key_id=ACCESS_KEY_ID, secret=Secret(ACCESS_KEY_SECRET))
    account.save()


def _opens(sealed: SealedSecret | None) -> bool:
    """Return whether the credential is there and opens with today's keys."""
    if sealed is None or not sealed.sealed:
        return False
    try:
        unseal(sealed.sealed, row_id=str(sealed.pk))
    except SealBroken:
        return False
    return True


def _people(password: str) -> None:
    """Create the people. Without a password they cannot sign in yet; the hash of one who has this password already stays."""
    for name, role in PEOPLE.items():
        person, created = User.objects.get_or_create(username=name)
        if created:
            person.set_unusable_password()
        if password and not person.check_password(password):
            person.set_password(password)
        person.save()
        Grant.objects.get_or_create(user=person, role=role, account=None, environment="")
