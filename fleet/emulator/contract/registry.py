"""The registry of actions: the parameters and the handler of each, and which region it means."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fleet.emulator.wire.params import PROTOCOL, pattern_of

if TYPE_CHECKING:
    from fleet.emulator.contract.call import Call

Answer = dict[str, Any]
Handler = Callable[["Call"], Answer]
# Which region a call without RegionId means: none is needed, it must be named, or that of the resource it names.
Scope = Literal["anywhere", "region", "instance", "disk", "snapshot"]


@dataclass(frozen=True, slots=True)
class Action:
    """One action; `honoured` parameters have an effect, `ignored` ones are accepted without."""

    name: str
    handler: Handler
    scope: Scope
    honoured: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    changes: bool = False
    has_token: bool = False
    known: frozenset[str] = field(default=frozenset())

    def unknown(self, values: dict[str, str]) -> list[str]:
        """Return the names in a call that this action does not know."""
        return sorted(name for name in values if name not in PROTOCOL and pattern_of(name) not in self.known)


ACTIONS: dict[str, Action] = {}


def action(
    name: str, *, scope: Scope, honoured: str, ignored: str = "", changes: bool = False
) -> Callable[[Handler], Handler]:
    """Register the decorated function as an action; parameters are given as one text with spaces between."""

    def register(handler: Handler) -> Handler:
        takes, ignores = tuple(honoured.split()), tuple(ignored.split())
        everywhere = ("RegionId", "ClientToken") if "ClientToken" in takes else ("RegionId",)
        ACTIONS[name] = Action(
            name,
            handler,
            scope,
            takes,
            ignores,
            changes,
            "ClientToken" in takes,
            frozenset((*takes, *ignores, *everywhere)),
        )
        return handler

    return register
