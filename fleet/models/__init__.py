"""The tables: fields, constraints, and querysets named by their purpose. No input or output beside the database."""

from fleet.models.accounts import Account, RegionMirror
from fleet.models.audit import AuditEvent, AuditHead
from fleet.models.changes import (
    Approval,
    Change,
    ChangeState,
    Comment,
    Contributor,
    Decision,
    LeftOut,
    Login,
    Target,
)
from fleet.models.inventory import Image, Instance, InstanceType, KeyPair, SystemDisk
from fleet.models.people import Grant, Role, User
from fleet.models.replacements import CallWindow, Outcome, Replacement, ReplacementState, Transition
from fleet.models.secrets import SealedSecret
from fleet.models.system import Heartbeat, Installation

__all__ = [
    "Account",
    "Approval",
    "AuditEvent",
    "AuditHead",
    "CallWindow",
    "Change",
    "ChangeState",
    "Comment",
    "Contributor",
    "Decision",
    "Grant",
    "Heartbeat",
    "Image",
    "Installation",
    "Instance",
    "InstanceType",
    "KeyPair",
    "LeftOut",
    "Login",
    "Outcome",
    "RegionMirror",
    "Replacement",
    "ReplacementState",
    "Role",
    "SealedSecret",
    "SystemDisk",
    "Target",
    "Transition",
    "User",
]
