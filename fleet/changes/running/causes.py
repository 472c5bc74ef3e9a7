"""Why machines are held or failed, in words, with what to do next: many machines as the few clusters of one cause each."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Max, QuerySet

from fleet.engine.codes import (
    AFTER_STEP_FAILED,
    BEFORE_STEP_FAILED,
    GATE_CLOSED,
    INCONCLUSIVE,
    NOT_STAYING,
    RESTORED,
    SNAPSHOT_FAILED,
)
from fleet.engine.results import State
from fleet.engine.route import BEFORE_THE_LINE, NOTHING_SENT
from fleet.models import Change, Outcome, Replacement

LOOK, GIVE_UP, SKIP, JUDGE, RETRY = "look_again", "give_up", "skip", "judge", "ask_retry"


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause in a few words, and what to do next; `acts` are the names of acts on held machines, the best first."""

    code: str
    words: str
    next_act: str
    acts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """Machines of a change with one cause, in one state. `note` is what is known about one of them."""

    cause: Cause
    state: str
    held_from: str
    outcome: str
    machines: int
    past_the_line: bool
    note: str


START_REFUSED = frozenset({"OperationDenied.NoStock"})
NEW_SIZE = "Choose another size in a copy of the change, or leave it empty."
# These codes themselves say what is uncertain about a call that was sent; no other code does.
OF_UNCERTAINTY = frozenset({"IdempotentParameterMismatch", INCONCLUSIVE, GATE_CLOSED, RESTORED})
# By the API's code, or ours: what happened, and what to do next. For any other code state and outcome say it.
KNOWN = {
    "InvalidInstanceId.NotFound": ("The machine no longer exists", "Nothing is left to do for it here."),
    "InstanceLockedForSecurity": (
        "Locked by the provider for security",
        "Clear the security lock in the provider's console, then draft a change for these machines.",
    ),
    "Instanceexpiredorinarrears": ("Expired, or in arrears", "Pay or renew, then draft a change for these machines."),
    "InstanceExpiredOrInArrears": ("Expired, or in arrears", "Pay or renew, then draft a change for these machines."),
    "INST_HAS_UNPAID_ORDER": (
        "An order is not paid",
        "Pay or cancel the order, then draft a change for these machines.",
    ),
    "OperationDenied.UnpaidOrder": (
        "An order is not paid",
        "Pay or cancel the order, then draft a change for these machines.",
    ),
    "ChargeTypeViolation": ("The billing of the machine does not allow it", "Change the billing, or leave them out."),
    "IncorrectInstanceStatus": (
        "Did not stop in time",
        "Look at the machine's console; allow a forced stop in the policy.",
    ),
    "ImageNotSubscribed": (
        "The image is not subscribed to",
        "Subscribe to it in the marketplace, then draft a change.",
    ),
    "QuotaExceed.BuyImage": (
        "The quota of the image is used up",
        "Raise the quota in the marketplace, then draft a change.",
    ),
    "InvalidImageId.NotFound": ("The image no longer exists", "Choose another image in a copy of the change."),
    "ImageNotSupportInstanceType": (
        "The image does not run on this type of machine",
        "Choose another image for them in a copy of the change.",
    ),
    "InvalidParameter.Conflict": (
        "The image is for another architecture",
        "Choose an image for the type of these machines in a copy of the change.",
    ),
    "IoOptimized.NotSupported": (
        "The image does not run on I/O optimized machines",
        "Choose another image for them in a copy of the change.",
    ),
    "ImageRemovedInMarket": (
        "The image was removed from the marketplace",
        "Choose another image in a copy of the change.",
    ),
    "OperationDenied": (
        "The provider denies it: snapshots of data disks in the image, or an error of its own",
        "Try once more in a copy of the change; where it stays, choose an image without data disks.",
    ),
    "NoSuchResource": (
        "Something that the call names no longer exists, such as the key pair",
        "Choose key pair and image anew in a copy of the change.",
    ),
    "InvalidPassword.Malformed": (
        "The provider does not take the password",
        "Set another password in a copy of the change.",
    ),
    "InvalidPasswordParam.Mismatch": (
        "The image's own password was asked for, and one was sent",
        "Choose one way to sign in, in a copy of the change.",
    ),
    "InvalidSystemDiskSize": ("The provider does not take the disk size", NEW_SIZE),
    "InvalidSystemDiskSize.ImageNotSupportResize": (
        "The image has one disk size and no other",
        "Leave the size empty in a copy of the change, or choose another image.",
    ),
    "InvalidSystemDiskSize.ValueNotSupported": ("The disk size is below that of the present disk", NEW_SIZE),
    "InvalidSystemDiskSize.LessThanImageSize": ("The disk size is below that of the image", NEW_SIZE),
    "InvalidSystemDiskSize.LessThanMinSize": ("The disk size is below the least of the system", NEW_SIZE),
    "InvalidSystemDiskSize.MoreThanMaxSize": ("The disk size is above the largest there is", NEW_SIZE),
    NOT_STAYING: (
        "It does not stay stopped",
        "Find out who or what starts it, or why the cloud does not take it for stopped; then look again.",
    ),
    "OperationDenied.NoStock": (
        "No capacity in the zone to start again",
        "Wait and look again; where it stays, change the type or the zone in the console.",
    ),
    "Forbidden.RAM": ("The account's key may not do this", "An administrator adds the right in RAM, then look again."),
    "IdempotentParameterMismatch": (
        "The cloud knows the call with other parameters",
        "Compare the machine's disk with the approved one before anything else.",
    ),
    SNAPSHOT_FAILED: ("The snapshot before the replacement failed", "Look at the disk, then draft a change for them."),
    BEFORE_STEP_FAILED: ("The step before failed", "Repair what it found, then draft a change for these machines."),
    AFTER_STEP_FAILED: (
        "Does not serve: the step after failed",
        "Look at the service, or undo these machines from their snapshots.",
    ),
    INCONCLUSIVE: ("The step gave no verdict", "Look at the service and say whether it serves; then the rest goes on."),
    GATE_CLOSED: ("A gate was closed at the moment of the call", "Open it, then look again."),
    RESTORED: (
        "The database was restored: calls may be forgotten",
        "Compare the machine's disk with the approved one, then look again.",
    ),
}
BY_OUTCOME = {
    Outcome.FAILED_UNTOUCHED: ("Failed with the old system intact", "Repair the cause, then draft a change for them."),
    Outcome.FAILED_REPLACED: ("Failed with the new disk in place", "Look at the machine; undo it, or draft a change."),
    Outcome.FAILED_DISKLESS: ("Without a system disk", "Open a ticket with the provider at once."),
    Outcome.UNKNOWN: ("What was done is not known", "Compare the machine's disk with the approved one."),
}


def cause_of(code: str, state: str, outcome: str, *, past_the_line: bool, held_from: str = "") -> Cause:
    """Return the cause in words for a row's code, state and outcome."""
    words, next_act = KNOWN.get(code) or _by_state(code, state, outcome, past_the_line=past_the_line)
    if state == State.HELD and past_the_line and held_from == State.REPLACING and code not in OF_UNCERTAINTY:
        # Why the cloud refuses now does not tell what became of the call whose answer was lost.
        known = KNOWN.get(code)
        words, next_act = _by_state("", state, outcome, past_the_line=True)
        words = f"{words}; then the cloud said: {known[0].lower()}" if known else words
    elif state == State.HELD and not past_the_line and held_from == State.STARTING and code not in START_REFUSED:
        words, next_act = "Stands still with its old system", "Start it in the console, then look again."
    return Cause(code, words, next_act, _acts(code, state, held_from, past_the_line=past_the_line))


def clusters(change: Change, states: Sequence[str] = (State.HELD, State.FAILED)) -> list[Cluster]:
    """Return the clusters of a change, held ones first, then the largest: one query, however many machines there are."""
    untouched = Count("pk", filter=NOTHING_SENT)
    rows = (
        change.replacements.filter(state__in=states)
        .order_by()
        .values_list("error_code", "state", "held_from", "outcome")
        .annotate(machines=Count("pk"), untouched=untouched, note=Max("note"))
    )
    found = []
    for code, state, held_from, outcome, machines, not_sent, note in rows:
        for sent, number in ((True, machines - not_sent), (False, not_sent)):
            if number:
                cause = cause_of(code, state, outcome, past_the_line=sent, held_from=held_from)
                found.append(Cluster(cause, state, held_from, outcome, number, sent, note))
    return sorted(found, key=lambda cluster: (cluster.state != State.HELD, -cluster.machines, cluster.cause.words))


def rows_of(change: Change, cluster: Cluster) -> QuerySet[Replacement]:
    """Return the machines of a cluster, in the order of the change."""
    sent = ~NOTHING_SENT if cluster.past_the_line else NOTHING_SENT
    return change.replacements.filter(
        sent,
        error_code=cluster.cause.code,
        state=cluster.state,
        held_from=cluster.held_from,
        outcome=cluster.outcome,
    ).order_by("target__position")


def _by_state(code: str, state: str, outcome: str, *, past_the_line: bool) -> tuple[str, str]:
    if state == State.HELD:
        if past_the_line:
            return "What was done is not certain", "Look again; where the answer stays lost, ask to retry or give up."
        return "Stopped before anything was sent", "Look again, or skip these machines."
    words, next_act = (
        BY_OUTCOME.get(Outcome(outcome), ("Failed", "Look at the machine."))
        if outcome
        else (
            "Failed",
            "Look at the machine.",
        )
    )
    return (f"The cloud refused: {code}" if code else words), next_act


def _acts(code: str, state: str, held_from: str, *, past_the_line: bool) -> tuple[str, ...]:
    if state != State.HELD:
        return ()
    if code == INCONCLUSIVE:
        return (JUDGE, LOOK)
    if not past_the_line and held_from in BEFORE_THE_LINE:
        return (LOOK, SKIP, GIVE_UP)
    if held_from == State.REPLACING:
        return (LOOK, RETRY, GIVE_UP)
    return (LOOK, GIVE_UP)
