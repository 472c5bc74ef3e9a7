"""Who may set the rules that hold for everybody, and the words for where a rule holds."""

from fleet.lib.refused import Refused
from fleet.models import Account, Grant, Role, User


def may_rule(user: User, account_id: int | None = None) -> bool:
    """Say whether `user` sets rules: an administrator of that account, or of all of them for None (one query)."""
    return Grant.objects.filter(user=user, role=Role.ADMIN).covering((account_id, "")).exists()


def require_ruler(user: User, what: str, *account_ids: int | None) -> None:
    """Raise Refused unless `user` sets rules for all of these accounts."""
    for account_id in account_ids:
        if not may_rule(user, account_id):
            where = "all accounts" if account_id is None else "that account"
            raise Refused(f"{what} needs the role administrator for {where}. Ask one.", kind="forbidden")


def account_of(pk: int | None) -> Account | None:
    """Return the account that was chosen, None for all; Refused where it is gone."""
    if pk is None:
        return None
    found = Account.objects.filter(pk=pk).first()
    if found is None:
        raise Refused("There is no such account any more. Choose one from the list.", field="account")
    return found


def scope_words(account: Account | None, region: str, environment: str) -> str:
    """Return where a rule holds: `every machine`, `account prod, cn-hangzhou, environment staging`."""
    parts = [f"account {account}" if account else "", region, f"environment {environment}" if environment else ""]
    return ", ".join(part for part in parts if part) or "every machine"
