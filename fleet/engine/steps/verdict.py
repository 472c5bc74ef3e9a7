"""The verdict of a step about one machine."""

from dataclasses import dataclass, field
from enum import Enum, auto

from fleet.engine.results import RowFields
from fleet.models import AuditEvent


class StepVerdict(Enum):
    """What a step has said of a machine so far."""

    GOOD = auto()
    BAD = auto()
    UNKNOWN = auto()  # its answer says neither, or no answer will ever come
    NOT_YET = auto()


@dataclass(frozen=True, slots=True)
class StepReport:
    """A verdict with its reason in words.

    `seconds` is when to ask again where there is no verdict yet, `code` the API's code where the cloud refused.
    """

    verdict: StepVerdict
    words: str = ""
    seconds: float = 5.0
    code: str = ""
    fields: RowFields = field(default_factory=RowFields)
    events: list[AuditEvent] = field(default_factory=list)
