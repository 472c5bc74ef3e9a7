"""Stopping, starting and restarting an instance: what is refused, and what its status will be from when on."""

from dataclasses import replace

from fleet.emulator.contract.call import Call
from fleet.emulator.wire.errors import ApiError, common_error
from fleet.emulator.world.resources import Instance
from fleet.emulator.world.timeline import Timeline


def check_may_stop(call: Call, instance: Instance) -> None:
    """Raise the refusal of a stop or restart."""
    _check_not_replacing(call, instance)
    _check_financial(instance)
    if instance.status.at(call.now) != "Running":
        raise common_error("IncorrectInstanceStatus")


def check_may_start(call: Call, instance: Instance) -> None:
    """Raise the refusal of a start: locks, money, status, and stock after an economical stop."""
    if any(reason == "security" for reason, _ in instance.locks):
        raise common_error("InstanceLockedForSecurity")
    _check_financial(instance)
    if instance.expires_at <= call.now or instance.secrets.arrears:
        raise common_error("InstanceExpiredOrInArrears")
    _check_not_replacing(call, instance)
    if instance.status.at(call.now) != "Stopped":
        raise common_error("IncorrectInstanceStatus")
    if instance.stopped_mode == "StopCharging" and instance.secrets.no_stock:
        raise common_error("OperationDenied.NoStock")


def stop(call: Call, instance: Instance, *, mode: str) -> tuple[str, str]:
    """Stop the instance and return its status before and now; an economical stop gives up the public address."""
    now, before = call.now, instance.status.at(call.now)
    seconds = call.settings.lasts("stop")
    if call.met("stuck", instance.id):
        instance.status = instance.status.then(now, (now, "Stopping"))
    else:
        instance.status = _life(instance.status, now, ("Stopping", seconds), "Stopped")
    wanted = mode or ("StopCharging" if call.settings.economical_default else "KeepCharging")
    instance.stopped_mode = wanted if instance.charge_type == "PostPaid" else "KeepCharging"
    if instance.stopped_mode == "StopCharging":
        instance.public_ip = ""
    return _done(call, instance, before)


def start(call: Call, instance: Instance) -> tuple[str, str]:
    """Start the instance and return its status before and now; a system that does not boot falls back to Stopped."""
    now, before = call.now, instance.status.at(call.now)
    seconds = call.settings.lasts("start")
    system = instance.system.at(now)
    if call.met("stuck", instance.id):
        instance.status = instance.status.then(now, (now, "Starting"))
    elif call.met("boot_fails", instance.id) or not system.boots:
        instance.status = _life(instance.status, now, ("Starting", seconds), "Stopped")
    else:
        instance.status = _life(instance.status, now, ("Starting", seconds), "Running")
    if call.met("serves_not", instance.id):
        instance.system = Timeline((now, replace(system, serves=False)))
    instance.started_at = now + seconds
    return _done(call, instance, before)


def reboot(call: Call, instance: Instance) -> tuple[str, str]:
    """Restart the instance and return its status before and now."""
    now, before = call.now, instance.status.at(call.now)
    down = now + call.settings.lasts("stop")
    up = down + call.settings.lasts("start")
    boots = instance.system.at(now).boots and not call.met("boot_fails", instance.id)
    pairs = [(now, "Stopping"), (down, "Starting"), (up, "Running" if boots else "Stopped")]
    if call.met("stuck", instance.id):
        pairs = pairs[:1]
    elif up == now:
        pairs = pairs[2:]
    instance.status = instance.status.then(now, *pairs)
    if call.met("serves_not", instance.id):
        instance.system = Timeline((now, replace(instance.system.at(now), serves=False)))
    instance.started_at = up
    return _done(call, instance, before)


def fault_for(call: Call, instance_id: str) -> ApiError | None:
    """Return the error that a fault asks for this one instance of a batch."""
    for fault in call.faults:
        if fault.kind == "error" and fault.instance == instance_id:
            error = call.edition.error(fault.code)
            return ApiError(error.code, fault.status or error.status, fault.message or error.message)
    return None


def _life(timeline: Timeline[str], now: float, on_the_way: tuple[str, float], end: str) -> Timeline[str]:
    state, seconds = on_the_way
    if seconds == 0:
        return timeline.then(now, (now, end))
    return timeline.then(now, (now, state), (now + seconds, end))


def _done(call: Call, instance: Instance, before: str) -> tuple[str, str]:
    call.region.changed(instance)
    call.effect = True
    return before, instance.status.at(call.now)


def _check_not_replacing(call: Call, instance: Instance) -> None:
    if not instance.system.settled(call.now):
        raise common_error("IncorrectInstanceStatus")


def _check_financial(instance: Instance) -> None:
    if any(reason == "financial" for reason, _ in instance.locks):
        raise common_error("InstanceExpiredOrInArrears")
