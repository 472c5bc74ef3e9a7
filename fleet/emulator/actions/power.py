"""StopInstance, StartInstance, RebootInstance: one at a time."""

from fleet.emulator.contract import power
from fleet.emulator.contract.call import Call
from fleet.emulator.contract.matching import check_dry_run
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.wire.errors import common_error
from fleet.emulator.world.resources import Instance

MODES = ("StopCharging", "KeepCharging", "Not-applicable")


@action(
    "StopInstance",
    scope="instance",
    honoured="InstanceId StoppedMode DryRun",
    ignored="ForceStop ConfirmStop Hibernate DiskDetached.N",
    changes=True,
)
def stop_instance(call: Call) -> Answer:
    """Stop a running instance."""
    instance = _named(call)
    mode = call.params.choice("StoppedMode", *MODES)
    call.params.boolean("ForceStop")
    power.check_may_stop(call, instance)
    check_dry_run(call.params)
    power.stop(call, instance, mode=mode)
    return {}


@action(
    "StartInstance",
    scope="instance",
    honoured="InstanceId DryRun",
    ignored="InitLocalDisk SourceRegionId",
    changes=True,
)
def start_instance(call: Call) -> Answer:
    """Start a stopped instance."""
    instance = _named(call)
    power.check_may_start(call, instance)
    check_dry_run(call.params)
    power.start(call, instance)
    return {}


@action("RebootInstance", scope="instance", honoured="InstanceId DryRun", ignored="ForceStop", changes=True)
def reboot_instance(call: Call) -> Answer:
    """Restart a running instance."""
    instance = _named(call)
    power.check_may_stop(call, instance)
    check_dry_run(call.params)
    power.reboot(call, instance)
    return {}


def _named(call: Call) -> Instance:
    instance = call.region.instances.get(call.params.require("InstanceId"))
    if instance is None:
        raise common_error("InvalidInstanceId.NotFound")
    return instance
