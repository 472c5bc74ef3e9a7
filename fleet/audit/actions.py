"""The registry of acts: an act that is not listed here cannot be recorded."""

from typing import NamedTuple


class Action(NamedTuple):
    """How an act reads (`{subject}` stands for what it was done to), its icon and its status colour."""

    words: str
    icon: str = "info"
    status: str = "off"


ACTIONS: dict[str, Action] = {
    "person.signed_in": Action("signed in", "person"),
    "person.sign_in_refused": Action("was refused at sign-in", "block", "warn"),
    "person.signed_out": Action("signed out", "person"),
    "person.refused": Action("was refused: {subject}", "block", "warn"),
    "account.added": Action("added account {subject}", "plus"),
    "account.changed": Action("changed account {subject}", "draft"),
    "mirror.asked": Action("asked to read the cloud again", "retry"),
    "change.drafted": Action("drafted {subject}", "draft"),
    "change.edited": Action("edited {subject}", "draft"),
    "change.discarded": Action("discarded {subject}", "x"),
    "change.submitted": Action("submitted {subject} for review", "review", "run"),
    "change.checked": Action("checked {subject}: ready for review", "check", "ok"),
    "change.check_failed": Action("sent {subject} back to draft: the check did not pass", "warn", "warn"),
    "change.commented": Action("commented on {subject}", "review"),
    "change.approved": Action("approved {subject}", "ok", "ok"),
    "change.returned": Action("asked for changes to {subject}", "undo", "warn"),
    "change.rejected": Action("rejected {subject}", "block", "bad"),
    "change.approval_voided": Action("voided the approval of {subject}", "cancel", "warn"),
    "change.started": Action("started {subject}", "play", "run"),
    "change.paused": Action("paused {subject}", "pause", "warn"),
    "change.resumed": Action("let {subject} go on", "play", "run"),
    "change.tripped": Action("stopped {subject}: the failures allowed are used up", "abort", "bad"),
    "change.finished": Action("finished {subject}", "ok", "ok"),
    "change.cancelled": Action("cancelled {subject}", "cancel", "warn"),
    "change.expired": Action("let the approval of {subject} expire", "clock", "warn"),
    "instance.intended": Action("is about to replace the system disk of {subject}", "disk", "run"),
    "instance.stop_asked": Action("asked {subject} to stop", "abort"),
    "instance.start_asked": Action("asked {subject} to start", "play"),
    "instance.disk_replaced": Action("replaced the system disk of {subject}", "disk", "run"),
    "instance.call_refused": Action("was refused by the cloud for {subject}", "block", "bad"),
    "instance.answer_lost": Action("lost the cloud's answer for {subject}", "unknown", "warn"),
    "instance.restored": Action("put back what the old disk of {subject} carried", "retry"),
    "instance.succeeded": Action("finished {subject}: new disk in use", "ok", "ok"),
    "instance.adopted": Action("adopted the new disk of {subject}", "ok", "warn"),
    "instance.skipped": Action("skipped {subject}: it is not what was approved", "drift", "warn"),
    "instance.failed": Action("could not finish {subject}", "bad", "bad"),
    "instance.held": Action("holds {subject} for a person", "held", "warn"),
    "instance.cancelled": Action("did not start {subject}", "cancel"),
    "secret.sealed": Action("sealed a password for {subject}", "lock"),
    "secret.destroyed": Action("destroyed the sealed password of {subject}", "lock"),
    "audit.verified": Action("walked the audit chain", "chain"),
    "audit.exported": Action("exported {subject}", "down-load"),
    "worker.restored_database": Action("found a restored database and holds all live work", "held", "bad"),
}
