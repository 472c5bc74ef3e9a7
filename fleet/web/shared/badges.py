"""How states look: a colour and a glyph for each; its word is the label of the model. Complete by test."""

from typing import NamedTuple

from fleet.models import ChangeState, Outcome, ReplacementState


class Badge(NamedTuple):
    """`status` decides the colour: run, ok, warn, bad or off; `glyph` is an icon of the sprite."""

    status: str
    glyph: str


CHANGE: dict[str, Badge] = {
    ChangeState.DRAFT: Badge("off", "draft"),
    ChangeState.CHECKING: Badge("run", "run"),
    ChangeState.IN_REVIEW: Badge("run", "review"),
    ChangeState.APPROVED: Badge("ok", "ok"),
    ChangeState.RUNNING: Badge("run", "run"),
    ChangeState.PAUSED: Badge("warn", "held"),
    ChangeState.TRIPPED: Badge("bad", "abort"),
    ChangeState.FINISHED: Badge("ok", "check"),
    ChangeState.REJECTED: Badge("off", "x"),
    ChangeState.CANCELLED: Badge("off", "cancel"),
    ChangeState.EXPIRED: Badge("off", "clock"),
}

REPLACEMENT: dict[str, Badge] = {
    ReplacementState.QUEUED: Badge("off", "queued"),
    ReplacementState.PREPARING: Badge("run", "run"),
    ReplacementState.IMAGING: Badge("run", "disk"),
    ReplacementState.BEFORE: Badge("run", "run"),
    ReplacementState.STOPPING: Badge("run", "run"),
    ReplacementState.SNAPSHOTTING: Badge("run", "snap"),
    ReplacementState.REPLACING: Badge("run", "disk"),
    ReplacementState.RESTORING: Badge("run", "run"),
    ReplacementState.STARTING: Badge("run", "run"),
    ReplacementState.VERIFYING: Badge("run", "run"),
    ReplacementState.AFTER: Badge("run", "run"),
    ReplacementState.DONE: Badge("ok", "ok"),
    ReplacementState.HELD: Badge("warn", "held"),
    ReplacementState.FAILED: Badge("bad", "bad"),
    ReplacementState.CANCELLED: Badge("off", "cancel"),
}

OUTCOME: dict[str, Badge] = {
    Outcome.SUCCEEDED: Badge("ok", "ok"),
    Outcome.FAILED_UNTOUCHED: Badge("bad", "bad"),
    Outcome.FAILED_REPLACED: Badge("bad", "warn"),
    Outcome.FAILED_DISKLESS: Badge("bad", "diskless"),
    Outcome.ADOPTED: Badge("ok", "ok"),
    Outcome.UNKNOWN: Badge("warn", "unknown"),
    Outcome.SKIPPED_DRIFT: Badge("off", "drift"),
    Outcome.CANCELLED: Badge("off", "cancel"),
}

# By the status that the cloud gives an instance.
INSTANCE: dict[str, Badge] = {
    "Running": Badge("off", "play"),
    "Stopped": Badge("off", "abort"),
    "Starting": Badge("run", "run"),
    "Stopping": Badge("run", "run"),
    "Pending": Badge("run", "queued"),
}
