"""What administrators do to cloud accounts. An account begins in observe, and two people make it execute.

What can destroy disks (execution, and the guard that only machines with the tag `fleet-os=allowed` are changed) needs one
administrator who asks and another one who agrees. To make it safer one is enough.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django_q.tasks import async_task

from fleet.administration.authority import require_administrator
from fleet.audit.trail import record
from fleet.inventory.credentials import seal_credential
from fleet.lib.refused import Refused
from fleet.lib.secret import Secret
from fleet.models import Account, AuditEvent, SealedSecret, User

WHAT = "Changing accounts"
EXECUTION, GUARD = "execution", "guard"
REGION = re.compile(r"[a-z]{2}-[a-z]+(-[0-9a-z]+)?")
ENDPOINT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, slots=True)
class AccountInput:
    """An account as an administrator typed it.

    `endpoint` is host:port, empty for the public one; `replace_quota` counts calls of ReplaceSystemDisk a minute.
    """

    name: str
    edition: str
    regions: Sequence[str]
    endpoint: str
    replace_quota: int


@transaction.atomic
def add_account(*, actor: User, given: AccountInput, access_key_id: str, access_key_secret: Secret) -> Account:
    """Add an account in observe; its access key is sealed at once. The mirror reads it with the worker's next tick."""
    require_administrator(actor, WHAT, None)
    values = _checked(given)
    credential = _sealed(access_key_id, access_key_secret)
    account = Account(**values, credential=credential)
    _save(account)
    _read_soon()
    record(
        action="account.added",
        actor=actor,
        subject=account.name,
        account=account,
        data=values | {"credential": credential.fingerprint},
    )
    return account


@transaction.atomic
def change_account(*, actor: User, account_id: int, given: AccountInput) -> Account:
    """Change an account's settings. Another endpoint or edition switches execution off: it may lead to other machines."""
    account = _locked(account_id)
    require_administrator(actor, WHAT, account.pk)
    before = {name: getattr(account, name) for name in _checked(given)}
    values = _checked(given)
    moved = {name: [before[name], value] for name, value in values.items() if before[name] != value}
    for name, value in values.items():
        setattr(account, name, value)
    stopped = bool({"endpoint", "edition"} & moved.keys()) and _switch_off(account)
    account.guard_lifted = account.guard_lifted and "endpoint" not in moved
    _save(account)
    if moved:
        record(
            action="account.changed",
            actor=actor,
            subject=account.name,
            account=account,
            data=moved | ({"execution": ["on", "off"]} if stopped else {}),
        )
    return account


@transaction.atomic
def replace_credential(
    *, actor: User, account_id: int, access_key_id: str, access_key_secret: Secret, now: datetime
) -> Account:
    """Seal another access key for an account, and destroy the old one.

    The new key may lead to another account, for which nobody agreed to execution: it is switched off.
    """
    account = _locked(account_id)
    require_administrator(actor, WHAT, account.pk)
    old = account.credential
    account.credential = _sealed(access_key_id, access_key_secret)
    stopped = _switch_off(account)
    account.guard_lifted = False
    account.save()
    if old is not None:
        old.sealed, old.destroyed_at = "", now
        old.save(update_fields=["sealed", "destroyed_at"])
    record(
        action="account.credential_replaced",
        actor=actor,
        subject=account.name,
        account=account,
        data={
            "credential": [old.fingerprint if old else "", account.credential.fingerprint],
            **({"execution": ["on", "off"]} if stopped else {}),
        },
    )
    return account


@transaction.atomic
def ask_execution(*, actor: User, account_id: int, now: datetime) -> Account:
    """Ask that changes may be carried out in this account. It counts when another administrator agreed."""
    account = _locked(account_id)
    require_administrator(actor, "Switching execution on", account.pk)
    if account.executes:
        raise Refused("Execution is on already.", kind="moved")
    if account.execution_asked_by_id:
        raise Refused("It is asked for already. Another administrator switches it on.", kind="moved")
    if account.credential is None or not account.credential.sealed:
        raise Refused("The account has no credential. Enter an access key first.")
    account.execution_asked_by, account.execution_asked_at = actor, now
    account.execution_on_by = account.execution_on_at = None
    account.save()
    record(action="account.execution_asked", actor=actor, subject=account.name, account=account)
    return account


@transaction.atomic
def switch_execution_on(*, actor: User, account_id: int, now: datetime) -> Account:
    """Let changes be carried out in this account, as another administrator has asked."""
    account = _locked(account_id)
    require_administrator(actor, "Switching execution on", account.pk)
    if account.executes:
        raise Refused("Execution is on already.", kind="moved")
    if account.execution_asked_by_id is None:
        raise Refused("Nobody asks for it just now. Ask for it; another administrator switches it on.", kind="moved")
    if account.execution_asked_by_id == actor.pk:
        raise Refused("You asked for it; another administrator switches it on.", kind="forbidden")
    account.executes, account.execution_on_by, account.execution_on_at = True, actor, now
    account.save()
    record(
        action="account.execution_on",
        actor=actor,
        subject=account.name,
        account=account,
        data={"asked_by": str(account.execution_asked_by)},
    )
    return account


@transaction.atomic
def switch_execution_off(*, actor: User, account_id: int) -> Account:
    """Put the account into observe, or take back the request to leave it: one administrator is enough."""
    account = _locked(account_id)
    require_administrator(actor, "Switching execution off", account.pk)
    if not account.executes and account.execution_asked_by_id is None:
        raise Refused("The account is in observe already.", kind="moved")
    was_on = _switch_off(account)
    account.save()
    record(
        action="account.execution_off",
        actor=actor,
        subject=account.name,
        account=account,
        data={"was": "on" if was_on else "asked for"},
    )
    return account


@transaction.atomic
def ask_lifting(*, actor: User, account_id: int) -> Account:
    """Ask that machines without the tag may be changed too. The event on the trail is the request; another one agrees."""
    account = _locked(account_id)
    require_administrator(actor, "Lifting the guard", account.pk)
    if account.guard_lifted:
        raise Refused("The guard is lifted already.", kind="moved")
    if lifting_asked(account) is not None:
        raise Refused("It is asked for already. Another administrator lifts the guard.", kind="moved")
    record(action="account.guard_asked", actor=actor, subject=account.name, account=account)
    return account


@transaction.atomic
def lift_guard(*, actor: User, account_id: int) -> Account:
    """Let machines without the tag be changed too, as another administrator has asked."""
    account = _locked(account_id)
    require_administrator(actor, "Lifting the guard", account.pk)
    asked = lifting_asked(account)
    if account.guard_lifted or asked is None:
        raise Refused("Nobody asks for it just now. Look at the present state.", kind="moved")
    if asked.actor_id == actor.pk:
        raise Refused("You asked for it; another administrator lifts the guard.", kind="forbidden")
    account.guard_lifted = True
    account.save()
    record(
        action="account.guard_lifted",
        actor=actor,
        subject=account.name,
        account=account,
        data={"asked_by": asked.actor_name},
    )
    return account


@transaction.atomic
def set_guard(*, actor: User, account_id: int) -> Account:
    """Let only machines with the tag be changed again, or take back the request to lift the guard."""
    account = _locked(account_id)
    require_administrator(actor, "Setting the guard", account.pk)
    if not account.guard_lifted and lifting_asked(account) is None:
        raise Refused("The guard holds already.", kind="moved")
    account.guard_lifted = False
    account.save()
    record(action="account.guard_set", actor=actor, subject=account.name, account=account)
    return account


def lifting_asked(account: Account) -> AuditEvent | None:
    """Return the event of the open request to lift the guard, None where there is none (one query)."""
    of_guard = ("account.guard_asked", "account.guard_lifted", "account.guard_set")
    last = AuditEvent.objects.filter(account_id=account.pk, action__in=of_guard).order_by("-number").first()
    return last if last is not None and last.action == "account.guard_asked" else None


def _read_soon() -> None:
    async_task("fleet.worker.sync")


def _switch_off(account: Account) -> bool:
    was_on = account.executes
    account.executes = False
    account.execution_asked_by = account.execution_on_by = None
    account.execution_asked_at = account.execution_on_at = None
    return was_on


def _checked(given: AccountInput) -> dict[str, Any]:
    name, endpoint = given.name.strip(), given.endpoint.strip()
    regions = list(dict.fromkeys(region.strip() for region in given.regions if region.strip()))
    if not name:
        raise Refused("The account has no name. Enter one.", field="name")
    if not regions:
        raise Refused("No region is named. Enter at least one, such as cn-hangzhou.", field="regions")
    if wrong := next((region for region in regions if len(region) > 64 or not REGION.fullmatch(region)), ""):
        raise Refused(f"“{wrong[:64]}” is no region's id. Write it as cn-hangzhou.", field="regions")
    if endpoint and not ENDPOINT.fullmatch(endpoint):
        raise Refused("Write the endpoint as host:port, without https:// and without a path.", field="endpoint")
    return {
        "name": name,
        "edition": given.edition,
        "regions": regions,
        "endpoint": endpoint,
        "replace_quota": given.replace_quota,
    }


def _sealed(access_key_id: str, secret: Secret) -> SealedSecret:
    if not KEY_ID.fullmatch(access_key_id.strip()):
        raise Refused("This is no AccessKey ID: letters and digits, at most 128.", field="access_key_id")
    if not secret.reveal().strip():
        raise Refused("The AccessKey secret is missing. Enter it; it is sealed at once.", field="access_key_secret")
    return seal_credential(access_key_id=access_key_id.strip(), secret=Secret(secret.reveal().strip()))


def _save(account: Account) -> None:
    try:
        with transaction.atomic():
            account.save()
    except IntegrityError as error:
        if "account_name" not in str(error):
            raise
        raise Refused(f"There is an account {account.name} already. Choose another name.", field="name") from None


def _locked(account_id: int) -> Account:
    found = (
        Account.objects.select_for_update(of=("self",))
        .select_related("credential", "execution_asked_by", "execution_on_by")
        .filter(pk=account_id)
        .first()
    )
    if found is None:
        raise Refused("There is no such account any more. Look at the list.", kind="moved")
    return found
