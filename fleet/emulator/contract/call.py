"""A call as its action sees it: parameters, region, time, edition, and the faults that it meets."""

from dataclasses import dataclass, field

from fleet.emulator.contract.edition import Edition
from fleet.emulator.wire.errors import ApiError
from fleet.emulator.wire.params import Params
from fleet.emulator.world.faults import Fault
from fleet.emulator.world.region import Region
from fleet.emulator.world.settings import Settings


@dataclass(slots=True)
class Call:
    """A call that was let in. `now` is one reading of the clock for all of it; an action that changes anything sets `effect`."""

    action: str
    params: Params
    region: Region
    regions: dict[str, Region]
    settings: Settings
    edition: Edition
    now: float
    request_id: str
    faults: list[Fault] = field(default_factory=list)
    effect: bool = False

    def refuse(self, name: str) -> ApiError:
        """Build the edition's refusal of that name."""
        return self.edition.error(name)

    def met(self, kind: str, instance_id: str) -> bool:
        """Say whether a fault of that kind meets this instance in this call."""
        return any(f.kind == kind and f.instance in ("", instance_id) for f in self.faults)
