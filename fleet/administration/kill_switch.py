"""What people do to the kill switch: anyone who works with changes may press it, and administrators lift it."""

from datetime import datetime

from django.db import IntegrityError, transaction

from fleet.administration.authority import administers
from fleet.audit.trail import record
from fleet.guards.kill_switch import scope_words
from fleet.lib.refused import Refused
from fleet.models import Account, Grant, KillSwitch, Role, User

PRESSERS = (Role.OPERATOR, Role.APPROVER, Role.ADMIN)


def may_press(user: User) -> bool:
    """Say whether `user` may press it: a role anywhere is enough, since stopping harms nothing."""
    return Grant.objects.filter(user=user, role__in=PRESSERS).exists()


def may_lift(user: User, press: KillSwitch) -> bool:
    """Say whether `user` may lift it: only an administrator of everything that this press stops."""
    return administers(user, press.account_id)


def press(*, actor: User, account_id: int | None, region: str, reason: str, now: datetime) -> KillSwitch:
    """Stop everything irreversible, everywhere or in an account, a region, or a region of an account.

    What the cloud is doing already is driven to its end; nothing is sent from now on.
    """
    if not may_press(actor):
        raise Refused("This needs the role operator, approver or administrator. Call one of them.", kind="forbidden")
    reason = reason.strip()
    if not reason:
        raise Refused("No reason is given. Say in a few words what is wrong.", field="reason")
    account = _place(account_id, region)
    try:
        with transaction.atomic():
            made = KillSwitch.objects.create(
                account=account, region=region, reason=reason[:400], pressed_by=actor, pressed_at=now
            )
            record(
                action="killswitch.pressed",
                actor=actor,
                subject=scope_words(made),
                account=account,
                data={"reason": made.reason, "region": region},
            )
    except IntegrityError as error:
        if "one_press_a_scope" not in str(error):
            raise
        raise Refused("The kill switch is on there already. Nothing is sent.", kind="moved") from None
    return made


@transaction.atomic
def lift(*, actor: User, press_id: int, reason: str, now: datetime) -> KillSwitch:
    """Lift one press of it. What others pressed still holds."""
    # The row is locked, so that the second of two who lift it at once is refused.
    found = KillSwitch.objects.select_for_update(of=("self",)).select_related("account").filter(pk=press_id).first()
    if found is None or found.lifted_at:
        raise Refused("The kill switch is off there already.", kind="moved")
    if not may_lift(actor, found):
        raise Refused(
            f"Only an administrator lifts the kill switch that is on {scope_words(found)}. Ask one.", kind="forbidden"
        )
    if not reason.strip():
        raise Refused("No reason is given. Say why it is safe to go on.", field="reason")
    found.lifted_by, found.lifted_at = actor, now
    found.save(update_fields=["lifted_by", "lifted_at"])
    record(
        action="killswitch.lifted",
        actor=actor,
        subject=scope_words(found),
        account=found.account,
        data={"reason": reason.strip(), "region": found.region},
    )
    return found


def _place(account_id: int | None, region: str) -> Account | None:
    accounts = Account.objects.all() if account_id is None else Account.objects.filter(pk=account_id)
    found = list(accounts)
    if account_id is not None and not found:
        raise Refused("There is no such account. Choose one from the list, or all.", field="account")
    if region and not any(region in account.regions for account in found):
        raise Refused("There is no such region in use. Choose one from the list, or all.", field="region")
    return found[0] if account_id is not None else None
