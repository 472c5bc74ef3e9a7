"""StopInstances, StartInstances, RebootInstances: up to 100 at once, all together or as many as can be."""

from collections.abc import Callable

from fleet.emulator.actions.power import MODES
from fleet.emulator.contract import power
from fleet.emulator.contract.call import Call
from fleet.emulator.contract.registry import Answer, action
from fleet.emulator.wire.errors import ApiError, common_error, missing
from fleet.emulator.world.resources import Instance

Check = Callable[[Call, Instance], None]
Act = Callable[[Call, Instance], tuple[str, str]]


@action(
    "StopInstances",
    scope="instance",
    honoured="InstanceId.N StoppedMode BatchOptimization DryRun",
    ignored="ForceStop Hibernate",
    changes=True,
)
def stop_instances(call: Call) -> Answer:
    """Stop running instances."""
    mode = call.params.choice("StoppedMode", *MODES)
    return _batch(call, power.check_may_stop, lambda one, i: power.stop(one, i, mode=mode))


@action("StartInstances", scope="instance", honoured="InstanceId.N BatchOptimization DryRun", ignored="", changes=True)
def start_instances(call: Call) -> Answer:
    """Start stopped instances."""
    return _batch(call, power.check_may_start, power.start)


@action(
    "RebootInstances",
    scope="instance",
    honoured="InstanceId.N BatchOptimization DryRun",
    ignored="ForceReboot",
    changes=True,
)
def reboot_instances(call: Call) -> Answer:
    """Restart running instances."""
    return _batch(call, power.check_may_stop, power.reboot)


def _batch(call: Call, check: Check, act: Act) -> Answer:
    ids = call.params.repeated("InstanceId")
    if not ids:
        raise missing("InstanceId.1")
    if len(ids) > 100:
        raise common_error("InvalidParameter.TooManyInstanceIds")
    success_first = call.params.choice("BatchOptimization", "AllTogether", "SuccessFirst") == "SuccessFirst"
    outcomes: dict[str, ApiError | Instance] = {}
    for instance_id in ids:
        try:
            outcomes[instance_id] = _checked(call, instance_id, check)
        except ApiError as error:
            if not success_first:
                raise
            outcomes[instance_id] = error
    if call.params.boolean("DryRun"):
        raise common_error("DRYRUN.SUCCESS")
    return {"InstanceResponses": {"InstanceResponse": [_response(call, i, o, act) for i, o in outcomes.items()]}}


def _checked(call: Call, instance_id: str, check: Check) -> Instance:
    fault = power.fault_for(call, instance_id)
    if fault:
        raise fault
    instance = call.region.instances.get(instance_id)
    if instance is None:
        raise common_error("InvalidInstanceId.NotFound")
    check(call, instance)
    return instance


def _response(call: Call, instance_id: str, outcome: ApiError | Instance, act: Act) -> dict[str, str]:
    if isinstance(outcome, ApiError):
        known = call.region.instances.get(instance_id)
        status = known.status.at(call.now) if known else ""
        return {
            "InstanceId": instance_id,
            "Code": outcome.code,
            "Message": outcome.message,
            "PreviousStatus": status,
            "CurrentStatus": status,
        }
    before, after = act(call, outcome)
    return {
        "InstanceId": instance_id,
        "Code": "200",
        "Message": "success",
        "PreviousStatus": before,
        "CurrentStatus": after,
    }
