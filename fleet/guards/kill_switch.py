"""The kill switch: while it is on, nothing irreversible is sent in its scope. Asked before every such call."""

from collections.abc import Iterable

from fleet.models import KillSwitch


def presses() -> list[KillSwitch]:
    """Return the presses in force, the oldest first, with account and presser: one query."""
    return list(
        KillSwitch.objects.filter(lifted_at=None).select_related("account", "pressed_by").order_by("pressed_at", "pk")
    )


def pressed(account_id: int, region: str) -> str:
    """Return the sentence that says who stopped this account and region, or nothing where nobody did."""
    return pressed_over([(account_id, region)])


def pressed_over(places: Iterable[tuple[int, str]]) -> str:
    """Return the sentence for the first press that covers one of these pairs of account and region, or nothing."""
    found = presses()
    if not found:
        return ""
    wanted = list(places)
    covering = (press for press in found if any(covers(press, place) for place in wanted))
    return next((words(press) for press in covering), "")


def covers(press: KillSwitch, place: tuple[int, str]) -> bool:
    """Say whether a press holds in this account and region."""
    account, region = place
    return press.account_id in (None, account) and press.region in ("", region)


def scope_words(press: KillSwitch) -> str:
    """Return where a press holds: `everywhere`, `in account prod`, `in cn-hangzhou of account prod`."""
    if press.account is None:
        return f"in {press.region}" if press.region else "everywhere"
    return f"in {press.region} of account {press.account}" if press.region else f"in account {press.account}"


def words(press: KillSwitch) -> str:
    """Return the sentence that says where the switch is on, by whom and why."""
    reason = press.reason.rstrip(".")
    return f"The kill switch is on {scope_words(press)}, pressed by {press.pressed_by}: {reason}."
