"""How states look: status colour, glyph and word. One table for each kind, complete by test."""

from typing import NamedTuple

from fleet.models import ChangeState, Outcome, ReplacementState


class Look(NamedTuple):
    """`status` is run, ok, warn, bad or off; `glyph` an icon of the sprite."""

    status: str
    glyph: str
    words: str


CHANGE: dict[str, Look] = {
    ChangeState.DRAFT: Look("off", "draft", "Draft"),
    ChangeState.CHECKING: Look("run", "run", "Checking"),
    ChangeState.IN_REVIEW: Look("run", "review", "In review"),
    ChangeState.APPROVED: Look("ok", "ok", "Approved"),
    ChangeState.RUNNING: Look("run", "run", "Running"),
    ChangeState.PAUSED: Look("warn", "held", "Paused"),
    ChangeState.TRIPPED: Look("bad", "abort", "Stopped by itself"),
    ChangeState.FINISHED: Look("ok", "check", "Finished"),
    ChangeState.REJECTED: Look("off", "x", "Rejected"),
    ChangeState.CANCELLED: Look("off", "cancel", "Cancelled"),
    ChangeState.EXPIRED: Look("off", "clock", "Expired"),
}

REPLACEMENT: dict[str, Look] = {
    ReplacementState.QUEUED: Look("off", "queued", "Queued"),
    ReplacementState.PREPARING: Look("run", "run", "Preparing"),
    ReplacementState.IMAGING: Look("run", "disk", "Making the image"),
    ReplacementState.BEFORE: Look("run", "run", "Before step"),
    ReplacementState.STOPPING: Look("run", "run", "Stopping"),
    ReplacementState.SNAPSHOTTING: Look("run", "snap", "Taking a snapshot"),
    ReplacementState.REPLACING: Look("run", "disk", "Replacing"),
    ReplacementState.RESTORING: Look("run", "run", "Restoring"),
    ReplacementState.STARTING: Look("run", "run", "Starting"),
    ReplacementState.VERIFYING: Look("run", "run", "Verifying"),
    ReplacementState.AFTER: Look("run", "run", "After step"),
    ReplacementState.DONE: Look("ok", "ok", "Done"),
    ReplacementState.HELD: Look("warn", "held", "Held"),
    ReplacementState.FAILED: Look("bad", "bad", "Failed"),
    ReplacementState.CANCELLED: Look("off", "cancel", "Cancelled"),
}

OUTCOME: dict[str, Look] = {
    Outcome.SUCCEEDED: Look("ok", "ok", "Succeeded"),
    Outcome.FAILED_UNTOUCHED: Look("bad", "bad", "Failed, old system intact"),
    Outcome.FAILED_REPLACED: Look("bad", "warn", "Failed, new disk in place"),
    Outcome.FAILED_DISKLESS: Look("bad", "diskless", "Failed, without a disk"),
    Outcome.ADOPTED: Look("ok", "ok", "Adopted"),
    Outcome.UNKNOWN: Look("warn", "unknown", "Unknown"),
    Outcome.SKIPPED_DRIFT: Look("off", "drift", "Skipped, drift"),
    Outcome.CANCELLED: Look("off", "cancel", "Cancelled"),
}

INSTANCE: dict[str, Look] = {
    "Running": Look("off", "play", "Running"),
    "Stopped": Look("off", "abort", "Stopped"),
    "Starting": Look("run", "run", "Starting"),
    "Stopping": Look("run", "run", "Stopping"),
    "Pending": Look("run", "queued", "Being created"),
}
