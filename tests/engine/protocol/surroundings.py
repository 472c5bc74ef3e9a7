"""What happens around the workers: the provider, other people, the clock."""

from collections.abc import Iterator

from tests.engine.protocol.model import (
    ACTIVE,
    ALIKE,
    APPROVED,
    DEADLINE,
    EARLY,
    HELD,
    IDLE,
    NEVER,
    OTHER,
    REPLACING,
    STOPPING,
    Provider,
    Rules,
    World,
    exchange,
    in_order,
    is_race,
    jump,
    land,
)

Successors = Iterator[tuple[str, World]]
RACE = " (another actor's disk, put there since our reading: not preventable)"


def provider_acts(world: World, provider: Provider) -> Successors:
    """Yield what the provider does by itself: it receives what is late, and does what it accepted."""
    for call in dict.fromkeys(world.air):
        rest = [*world.air]
        rest.remove(call)
        yield "a late call arrives", land(world._replace(air=tuple(rest)), call, provider)[0]
    if world.executing:
        yield "the disk is exchanged" + (RACE if is_race(world) else ""), exchange(world)


def others_act(world: World, rules: Rules) -> Successors:
    """Yield what another actor in the account does, and what persons do to the row."""
    if world.left.acts:
        fewer = world._replace(left=world.left._replace(acts=world.left.acts - 1))
        for disk in (OTHER, ALIKE):
            yield (
                f"another actor replaces the disk: {disk}",
                fewer._replace(disk=disk, disk_age=0, grown=False),
            )
        if not world.running:
            yield "another actor starts it", fewer._replace(running=True)
        if world.disk == APPROVED and not world.grown:
            yield "another actor makes the disk larger", fewer._replace(grown=True)
        if world.gate_open:
            yield "a gate closes", fewer._replace(gate_open=False)
        row = world.row
        if row.state in (REPLACING, STOPPING) and row.sent == NEVER and not row.new_disk and not row.called_back:
            yield "a person calls it back", fewer._replace(row=row._replace(called_back=True))
    if world.left.looks and world.row.state == HELD:
        age = 0 if rules.look_again_ends else NEVER
        given_back = world.row._replace(state=REPLACING, age=age, due=0)
        workers = in_order([each._replace(current=False) for each in world.workers])
        left = world.left._replace(looks=world.left.looks - 1)
        yield "a person has it looked at again", world._replace(row=given_back, workers=workers, left=left)


def time_passes(world: World, provider: Provider) -> Successors:
    """Yield the jumps of the clock. Where nothing else can happen and none is left, an hour passes: every deadline is over."""
    if world.air and not provider.request_lives:
        return  # where no request arrives late, none outlives the call's own timeout
    idle = all(worker.phase in (IDLE, EARLY) for worker in world.workers)
    active = world.row.state in ACTIVE
    if world.left.jumps and (active or not idle or world.air):
        fewer = world._replace(left=world.left._replace(jumps=world.left.jumps - 1))
        for seconds in provider.jumps:
            yield f"{seconds} s pass", jump(fewer, seconds, provider)
    elif active and idle and world.row.due:
        yield "an hour passes", jump(world, DEADLINE + 1, provider)
