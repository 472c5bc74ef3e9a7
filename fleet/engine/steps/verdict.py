"""What a step says of one machine."""

from dataclasses import dataclass, field
from enum import Enum, auto

from fleet.engine.results import RowFields
from fleet.models import AuditEvent


class StepVerdict(Enum):
    GOOD = auto()
    BAD = auto()
    UNKNOWN = auto()  # an answer that tells neither, or none that will ever come
    NOT_YET = auto()


@dataclass(frozen=True, slots=True)
class StepReport:
    """A verdict with its reason in words. `seconds` is when to ask again where there is none yet; `code` the cloud's word."""

    word: StepVerdict
    words: str = ""
    seconds: float = 5.0
    code: str = ""
    fields: RowFields = field(default_factory=RowFields)
    events: list[AuditEvent] = field(default_factory=list)
