"""Codes that say why a machine is held, has failed or waits (`error_code`): our own, and shared lists of the API's."""

RESTORED = "FleetOS.RestoredDatabase"  # what the database says of calls that were not sent proves nothing
NOT_STAYING = "FleetOS.DoesNotStayStopped"
GATE_CLOSED = "FleetOS.GateClosed"
INCONCLUSIVE = "Inconclusive"  # the step before or after gave no verdict in time, or an unclear one
BEFORE_STEP_FAILED = "BeforeStepFailed"
AFTER_STEP_FAILED = "AfterStepFailed"
SNAPSHOT_FAILED = "SnapshotFailed"

# A snapshot of the machine's disk is being made, by whomever: the disk cannot be replaced meanwhile.
SNAPSHOT_IN_PROGRESS = frozenset({"DiskCreatingSnapshot", "IncorrectDiskStatus.CreatingSnapshot"})
# The cloud knows the ClientToken of a call with other parameters.
TOKEN_TAKEN = frozenset(
    {"IdempotentParameterMismatch", "IdempotenceParamNotMatch", "InvalidIdempotenceParameter.Mismatch"}
)
