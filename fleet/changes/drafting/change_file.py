"""A change as a file: the very texts that are hashed, and the way back from them to a draft.

Every line is canonical JSON. The spec digest of the change is made of the first line; each further line is a machine, and its
leaf digest is made of it; the last line holds what nobody signs (title, reason, ticket, rollback plan). Of a password, the file
holds the fingerprint alone.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from fleet.audit.trail import record_on
from fleet.changes.digests import leaf, spec
from fleet.changes.drafting import file_format
from fleet.changes.drafting.drafts import MOST_MACHINES, create_draft
from fleet.changes.drafting.file_format import Misfit
from fleet.changes.drafting.omissions import Omission
from fleet.changes.drafting.selection import permitted, split_machines
from fleet.inventory.queries import OneOf
from fleet.lib.canonical import canonical_json
from fleet.lib.refused import Refused
from fleet.models import Account, Change, Instance, Role, Snapshot, User

MOST_BYTES = 16 * 1024 * 1024
ABOUT = ("title", "reason", "ticket", "rollback_plan")


def spec_text(change: Change) -> str:
    """Return the text whose SHA-256 is the spec digest of the change."""
    return canonical_json(spec(change))


def lines(change: Change) -> Iterator[str]:
    """Yield the lines of the file: the spec, a line for each machine in order, and what nobody signs."""
    yield spec_text(change) + "\n"
    for target in change.targets.order_by("position", "pk").select_related("instance").iterator(chunk_size=1000):
        yield canonical_json(leaf(target)) + "\n"
    yield canonical_json({"format": 1, "about": {name: getattr(change, name) for name in ABOUT}}) + "\n"


class Unfit(Refused):
    """The file is refused: no draft can be made of it. `faults` has a sentence for each fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("No draft was made of this file.")
        self.faults = faults


@dataclass(frozen=True, slots=True)
class ChangeFile:
    """What a file says: `settings` by the names of our columns, `machines` by account, instance id and snapshot id.

    `digest` is the SHA-256 of its first line: the spec digest of the change that it was downloaded from.
    """

    settings: dict[str, Any]
    machines: list[tuple[int, str, str]]
    digest: str


def read(content: bytes) -> ChangeFile:
    """Read a file. Where it has faults, all of them are named at once (Unfit): none is repaired by guessing."""
    if len(content) > MOST_BYTES:
        raise Unfit(
            [f"The file is larger than {MOST_BYTES // 1024**2} MiB: no change of {MOST_MACHINES:,} machines is."]
        )
    try:
        texts = [line for line in content.decode("utf-8-sig").split("\n") if line.strip()]
        rows = [json.loads(line, parse_float=_no_float, parse_constant=_no_float) for line in texts]
    except (ValueError, RecursionError):
        raise Unfit(
            ["A line of the file is no JSON. Take a file that was downloaded here, and leave its lines whole."]
        ) from None
    if not rows or not isinstance(rows[0], dict):
        raise Unfit(["The file is empty. Its first line holds the settings, each further one a machine."])
    about = rows.pop() if len(rows) > 1 and isinstance(rows[-1], dict) and "about" in rows[-1] else {}
    faults: list[str] = []
    settings = file_format.settings_of(rows[0], faults) | file_format.about_of(about, faults)
    machines = []
    for number, row in enumerate(rows[1:], start=2):
        try:
            machines.append(file_format.machine_of(row))
        except Misfit as fault:
            faults.append(f"Line {number:,}: {fault}")
    if not machines and not faults:
        faults.append("The file names no machine. An empty list never means all.")
    if len(machines) > MOST_MACHINES:
        faults.append(f"The file names {len(machines):,} machines; one change takes {MOST_MACHINES:,}.")
    if len({machine[:2] for machine in machines}) < len(machines):
        faults.append("The file names a machine twice. Take one of its lines out.")
    if faults:
        raise Unfit(faults)
    return ChangeFile(settings, machines, hashlib.sha256(texts[0].strip().encode()).hexdigest())


@transaction.atomic
def upload(*, actor: User, content: bytes, now: datetime) -> Change:
    """Make a draft of a file. Machines that are unknown, gone, locked or in another open change are listed in it as left out.

    The whole file is refused for a fault in it (Unfit), for a machine in an account in which the actor is no operator, and for
    a snapshot that no change took of that very machine. A file holds no password: where the login asks for one, it is typed
    on the draft.
    """
    file = read(content)
    may = permitted(actor, Role.OPERATOR)
    names = dict(Account.objects.values_list("pk", "name"))
    for account in sorted({account for account, *_ in file.machines}):
        if account in names and not may.in_account(account):
            raise Refused(f"You are no operator in account {names[account]}. No draft was made.", kind="forbidden")
    rows = Instance.objects.filter(OneOf("instance_id", [name for _, name, _ in file.machines]))
    known = {(account, name): pk for pk, account, name in rows.values_list("pk", "account", "instance_id")}
    snapshots = {
        known[account, name]: snapshot for account, name, snapshot in file.machines if (account, name) in known
    }
    unknown = [name for account, name, _ in file.machines if (account, name) not in known]
    wanted, omissions = split_machines(actor=actor, instance_pks=snapshots, now=now)
    omissions += [Omission("unknown", "No machine of the mirror has this id", named=name) for name in unknown]
    if not wanted:
        raise Refused("None of the machines of this file can be changed now. No draft was made.", kind="moved")
    put_back = {machine.pk: snapshots[machine.pk] for machine in wanted if snapshots[machine.pk]}
    undoes = _undone(put_back, file.settings["image_id"], machines=len(wanted)) if put_back else None
    change = create_draft(
        actor=actor,
        instance_pks=[machine.pk for machine in wanted],
        now=now,
        why="named in a file",
        omissions=omissions,
        choices=file.settings | {"undoes": undoes},
        snapshots=put_back,
    )
    record_on(change, "change.uploaded", actor, spec=file.digest, machines=len(wanted), left_out=len(omissions))
    return change


def _undone(put_back: dict[int, str], image_id: str, *, machines: int) -> Change:
    """Return the change that a file undoes; Unfit where the file is not the undo of one change.

    `put_back` are snapshot ids by the primary key of the machine. Anybody can write a file: without this check it could put on
    a machine what the disk of another machine held.
    """
    taken = Snapshot.objects.filter(OneOf("snapshot_id", put_back.values()), replacement__isnull=False)
    rows = taken.values_list("instance_id", "snapshot_id", "replacement__change_id")
    own = {(machine, snapshot): undone for machine, snapshot, undone in rows}
    undone = {own[pair] for pair in put_back.items() if pair in own}
    faults = []
    if put_back.items() - own.keys():
        faults.append("A machine is to get a snapshot that no change took of it. Take its line out.")
    if len(undone) > 1:
        faults.append("The snapshots were taken by several changes. Make a file for each of these.")
    if len(put_back) < machines:
        faults.append("Some machines get a snapshot back and others do not. Make a file for each kind.")
    if image_id:
        faults.append("The file names an image, and snapshots to put back. Leave one of the two empty.")
    if faults:
        raise Unfit(faults)
    return Change.objects.get(pk=undone.pop())


def _no_float(text: str) -> Any:
    raise ValueError(text)
