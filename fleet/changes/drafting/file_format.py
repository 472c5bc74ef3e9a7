"""The format of a change's file: each value is read with its type and range, or a sentence says what is wrong with it.

Only the calendars and webhooks that a file names are looked up in the database.
"""

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator

from fleet.changes.drafting.drafts import MOST_MACHINES
from fleet.changes.drafting.rollout import (
    LONGEST_HOLD,
    LONGEST_STEP,
    LONGEST_STOP,
    MOST_TEXT,
    SHORTEST_STEP,
    policy_faults,
)
from fleet.changes.drafting.settings import MOST_SNAPSHOT_DAYS, step_webhooks, steps_of, window_calendars
from fleet.guards.policy import GROWTHS, HOLDS, MOST_IN_FLIGHT, Policy, PolicyStep
from fleet.models import Login

MOST_GIB = 999_999  # the form of a draft takes as many digits


class Misfit(Exception):
    """One value does not fit; the text is the second half of a sentence that begins with its name."""


Reader = Callable[[Any], Any]


def _text(most: int, *, empty: bool = True) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str) or len(value) > most or not (empty or value) or not _storable(value):
            raise Misfit(f"is to be a text of {'at most' if empty else '1 to'} {most:,} characters")
        return value

    return read


def _storable(text: str) -> bool:
    """Say whether the database can store a text: JSON can hold a NUL and half a surrogate pair, PostgreSQL cannot."""
    return "\0" not in text and text == text.encode(errors="ignore").decode()


def _address(value: Any) -> str:
    found = str(_text(500)(value))
    if found:
        try:
            URLValidator(schemes=["http", "https"])(found)
        except ValidationError:
            raise Misfit("is to be an address that begins with https:// or http://, or empty") from None
    return found


def _whole(least: int, most: int, *, none: bool = False) -> Reader:
    def read(value: Any) -> int | None:
        if value is None and none:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Misfit(f"is to be a whole number from {least:,} to {most:,}{' or null' if none else ''}")
        return value

    return read


def _choice(*choices: str) -> Reader:
    def read(value: Any) -> str:
        if value not in choices or not isinstance(value, str):
            raise Misfit(f"is to be one of {', '.join(choices)}")
        return value

    return read


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Misfit("is to be true or false")
    return value


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None or not 2000 <= moment.year < 3000:
        raise Misfit("is to be a time such as 2026-03-01T22:00:00+00:00, or null")
    return moment


def _images(value: Any) -> dict[str, str]:
    read = _text(128, empty=False)
    if not isinstance(value, dict) or len(value) > 1000:
        raise Misfit("is to be an object of account/region and image id")
    for place, image in value.items():
        account, _, region = place.partition("/")
        if not account.isdecimal() or not region or len(place) > 100:
            raise Misfit("is to be an object of account/region and image id")
        read(image)
    return value


def _step(value: Any) -> PolicyStep | None:
    if value is None:
        return None
    return PolicyStep(**_parts(value, STEP, "a step"))


SETTINGS: dict[str, Reader] = {
    "image_id": _text(128),
    "images": _images,
    "disk_size": _whole(1, MOST_GIB, none=True),
    "login": _choice(*Login.values),
    "key_pair": _text(128),
    "security_enhancement": _truth,
    "snapshot_days": _whole(1, MOST_SNAPSHOT_DAYS, none=True),
}
WINDOW: dict[str, Reader] = {
    "calendar": _whole(1, 2**31 - 1, none=True),
    "not_before": _moment,
    "not_after": _moment,
}
STEP: dict[str, Reader] = {
    "kind": _choice("command", "webhook"),
    "text": _text(MOST_TEXT),
    "webhook": _whole(1, 2**31 - 1, none=True),
    "timeout": _whole(SHORTEST_STEP, LONGEST_STEP),
}
POLICY: dict[str, Reader] = {
    "max_in_flight": _whole(1, MOST_IN_FLIGHT),
    "failures_allowed": _whole(0, MOST_MACHINES),
    "skips_allowed": _whole(0, MOST_MACHINES, none=True),
    "canary": _whole(0, MOST_MACHINES),
    "canary_failures": _whole(0, MOST_MACHINES),
    "hold": _choice(*HOLDS),
    "hold_minutes": _whole(0, LONGEST_HOLD),
    "growth": _choice(*GROWTHS),
    "wave_size": _whole(0, MOST_MACHINES),
    "wave_failures": _whole(0, MOST_MACHINES, none=True),
    "spread_tag": _text(128),
    "force_stop_minutes": _whole(0, LONGEST_STOP),
    "before": _step,
    "after": _step,
}
ABOUT: dict[str, Reader] = {
    "title": _text(120),
    "reason": _text(4000),
    "ticket": _address,
    "rollback_plan": _text(4000),
}
assert set(POLICY) == {field.name for field in fields(Policy)}
MACHINE: dict[str, Reader] = {
    "account": _whole(1, 2**63 - 1),
    "region": _text(64),
    "instance_id": _text(64, empty=False),
    "snapshot_id": _text(64),
}


def settings_of(line: dict[str, Any], faults: list[str]) -> dict[str, Any]:
    """Return the first line of a file as columns of a change; a sentence for each value that does not fit goes to `faults`."""
    if line.get("format") != 1:
        faults.append("The first line is not of format 1. Take a file that was downloaded from a change.")
        return {}
    found: dict[str, Any] = {}
    for part, readers in (("settings", SETTINGS), ("policy", POLICY), ("window", WINDOW)):
        value = line.get(part)
        if not isinstance(value, dict):
            faults.append(f"The first line has no {part}.")
            continue
        extra = sorted(set(value) - set(readers) - ({"secret"} if part == "settings" else set()))
        faults += [f"{part}: {name[:40]} is not known." for name in extra]
        for name, read in readers.items():
            try:
                found[name] = read(value[name])
            except KeyError:
                faults.append(f"{part}: {name} is missing.")
            except Misfit as fault:
                faults.append(f"{part}: {name} {fault}.")
    return {} if faults else _as_columns(found, faults)


def about_of(line: dict[str, Any], faults: list[str]) -> dict[str, str]:
    """Return what the last line says, which nobody signs. All of it may be missing."""
    about = line.get("about", {})
    if not isinstance(about, dict):
        faults.append("The last line, about, is to be an object.")
        return {}
    found = {}
    for name, read in ABOUT.items():
        try:
            found[name] = read(about.get(name, ""))
        except Misfit as fault:
            faults.append(f"about: {name} {fault}.")
    return found


def machine_of(line: Any) -> tuple[int, str, str]:
    """Return what the line of a machine says: account, instance id, and the snapshot that is put back on it, if any."""
    found = _parts(line, MACHINE, "a machine", more=("format", "seen"))
    return found["account"], found["instance_id"], found["snapshot_id"]


def _parts(value: Any, readers: dict[str, Reader], what: str, *, more: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) - set(more) != set(readers):
        raise Misfit(f"{what} has exactly {', '.join(sorted({*readers, *more}))}")
    found = {}
    for name, read in readers.items():
        try:
            found[name] = read(value[name])
        except Misfit as fault:
            raise Misfit(f"{name} {fault}") from None
    return found


def _as_columns(found: dict[str, Any], faults: list[str]) -> dict[str, Any]:
    policy = Policy(**{name: found.pop(name) for name in POLICY})
    faults += [f"policy: {why} {do}" for _, why, do in policy_faults(policy)]
    asked = {step.webhook for _, step in steps_of(policy) if step.webhook is not None}
    if asked - set(step_webhooks().filter(pk__in=asked).values_list("pk", flat=True)):
        faults.append("policy: a step names a webhook that is not registered here. Register it, or take the step out.")
    calendar = found.pop("calendar")
    if calendar is not None and not window_calendars().filter(pk=calendar).exists():
        faults.append("window: the calendar is not in use here. Put null in its place, or take one that is.")
    # A file does not say how an image was found: any image but the chosen one itself counts as chosen by hand.
    images = {
        place: [image, "same" if image == found["image_id"] else "chosen"]
        for place, image in found.pop("images").items()
    }
    return {**found, "images": images, "policy": policy.as_json(), "calendar_id": calendar}
