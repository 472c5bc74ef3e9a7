"""Who administers what, and the words for where a rule holds."""

from fleet.lib.refused import Refused
from fleet.models import Account, Grant, Role, User


def administers(user: User, account_id: int | None = None) -> bool:
    """Say whether `user` is an administrator of that account, or of all accounts for None (one query)."""
    return Grant.objects.filter(user=user, role=Role.ADMIN).covering((account_id, "")).exists()


def require_administrator(user: User, what: str, *account_ids: int | None) -> None:
    """Raise Refused unless `user` is an administrator of each of these accounts; `what` is what needs that, as a subject."""
    for account_id in account_ids:
        if not administers(user, account_id):
            where = "all accounts" if account_id is None else "that account"
            raise Refused(f"{what} needs the role administrator for {where}. Ask one.", kind="forbidden")


def account_of(pk: int | None) -> Account | None:
    """Return the account that was chosen, None for all; Refused where it does not exist any more."""
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
