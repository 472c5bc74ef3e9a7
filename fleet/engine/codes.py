"""Codes of our own that say why a machine is held or failed. They stand where the API's codes stand: in `error_code`."""

RESTORED = "FleetOS.RestoredDatabase"  # what the database says of calls that were not sent proves nothing
NOT_STAYING = "FleetOS.DoesNotStayStopped"
GATE_CLOSED = "FleetOS.GateClosed"
INCONCLUSIVE = "Inconclusive"  # the step before or after gave no verdict in time, or an unclear one
BEFORE_STEP_FAILED = "BeforeStepFailed"
AFTER_STEP_FAILED = "AfterStepFailed"
SNAPSHOT_FAILED = "SnapshotFailed"
