"""The tables: fields, constraints, and querysets named by their purpose. No input or output beside the database."""

from fleet.models.accounts import Account, RegionMirror
from fleet.models.audit import AuditEvent, AuditHead
from fleet.models.changes import Change, ChangeState, Contributor, LeftOut, Login, Target
from fleet.models.guards import Calendar, CalendarEntry, KillSwitch, MachineLock
from fleet.models.inventory import DataDisk, Image, Instance, InstanceType, KeyPair, Snapshot, SystemDisk
from fleet.models.notices import Delivery, Webhook
from fleet.models.people import Grant, Role, User
from fleet.models.replacements import CallWindow, Outcome, Replacement, ReplacementState, Retry, StepTiming, Transition
from fleet.models.review import Approval, Comment, Decision, Look, QuorumRule, SeenMark
from fleet.models.secrets import SealedSecret
from fleet.models.selections import SavedView, Selection
from fleet.models.system import Heartbeat, Installation

__all__ = [
    "Account",
    "Approval",
    "AuditEvent",
    "AuditHead",
    "Calendar",
    "CalendarEntry",
    "CallWindow",
    "Change",
    "ChangeState",
    "Comment",
    "Contributor",
    "DataDisk",
    "Decision",
    "Delivery",
    "Grant",
    "Heartbeat",
    "Image",
    "Installation",
    "Instance",
    "InstanceType",
    "KeyPair",
    "KillSwitch",
    "LeftOut",
    "Login",
    "Look",
    "MachineLock",
    "Outcome",
    "QuorumRule",
    "RegionMirror",
    "Replacement",
    "ReplacementState",
    "Retry",
    "Role",
    "SavedView",
    "SealedSecret",
    "SeenMark",
    "Selection",
    "Snapshot",
    "StepTiming",
    "SystemDisk",
    "Target",
    "Transition",
    "User",
    "Webhook",
]
