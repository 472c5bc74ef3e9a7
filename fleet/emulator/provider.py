"""The emulated provider: its regions, settings and journal, and how an authenticated call runs against them."""

import secrets
from collections.abc import Iterable
from pathlib import Path
from time import sleep
from typing import Any

from fleet.emulator.contract.call import Call
from fleet.emulator.contract.edition import Edition, edition
from fleet.emulator.contract.registry import ACTIONS, Action, Answer
from fleet.emulator.seed.fleet import seed_fleet
from fleet.emulator.wire.errors import ApiError, DropAnswer, common_error, missing
from fleet.emulator.wire.params import Params
from fleet.emulator.world.catalogue import REGION_IDS
from fleet.emulator.world.clock import Clock
from fleet.emulator.world.faults import LASTING, Fault, Faults
from fleet.emulator.world.journal import MOST, Journal, without_secrets
from fleet.emulator.world.region import Region
from fleet.emulator.world.resources import Disk, Instance, Resource, Snapshot
from fleet.emulator.world.settings import Settings
from fleet.emulator.world.store import Store
from fleet.emulator.world.throttle import Throttle
from fleet.emulator.world.tokens import Tokens

NOWHERE = Region("")


class Provider:
    """The emulated provider, with the one account that it has."""

    def __init__(self, *, settings: Settings, clock: Clock | None = None, state: Path | None = None) -> None:
        self.clock = clock or Clock()
        self.store = Store(state)
        self.journal = Journal()
        self.throttle = Throttle()
        self.faults = Faults()
        self.settings = settings
        saved = self.store.settings()
        if saved:
            # The fleet goes on as it was; the speed is of this run.
            self.settings = Settings(**{**saved, "speed": settings.speed})
        self.settings.token_key = self.settings.token_key or secrets.token_hex(16)
        self.tokens = Tokens(key=self.settings.token_key)
        self.regions: dict[str, Region] = {}
        if saved:
            self._load()
        else:
            self.reset()

    def reset(
        self,
        *,
        instances: int | None = None,
        seed: int | None = None,
        regions: list[str] | None = None,
        plain: bool = False,
    ) -> None:
        """Seed a fresh fleet and forget journal, tokens, faults and counts; durations and quotas stay."""
        self.settings.instances = self.settings.instances if instances is None else instances
        self.settings.seed = self.settings.seed if seed is None else seed
        fresh = {id: Region(id) for id in REGION_IDS}
        seed_fleet(
            fresh,
            count=self.settings.instances,
            seed=self.settings.seed,
            now=self.clock.now(),
            only=regions,
            plain=plain,
        )
        self.store.clear()
        changed: list[Resource] = []
        for region in fresh.values():
            changed += region.take_changes()[0]
        self.tokens = Tokens(key=self.settings.token_key)
        self.journal.clear()
        self.faults.clear()
        self.throttle.reset()
        self.regions = fresh
        self.store.write(changed=changed, settings=self.settings.as_dict())

    def _load(self) -> None:
        self.regions = {id: Region(id) for id in REGION_IDS}
        for resource in self.store.resources():
            self.regions[resource.region].add(resource)
        for region in self.regions.values():
            region.take_changes()
        self.tokens.load(self.store.tokens())
        self.journal.load(self.store.journal(most=MOST))

    @property
    def edition(self) -> Edition:
        """The edition in force."""
        return edition(self.settings.edition)

    def save_settings(self) -> None:
        """Write the settings to the state file."""
        self.store.write(settings=self.settings.as_dict())

    def save(self, region: Region) -> None:
        """Write what the control API changed in a region to the state file; the caller holds the region's lock."""
        changed, removed = region.take_changes()
        self.store.write(changed=changed, removed=removed)

    def instance(self, instance_id: str) -> tuple[Region, Instance] | None:
        """Find an instance in any region."""
        for region in self.regions.values():
            if instance_id in region.instances:
                return region, region.instances[instance_id]
        return None

    def region_of(self, action: Action, params: Params) -> Region:
        """Return the region that a call means; raise the vendor's error if there is none."""
        named = params.get("RegionId") or params.get("regionId")
        if named:
            if named not in self.regions:
                raise common_error("InvalidRegionId.NotFound")
            return self.regions[named]
        if action.scope == "anywhere":
            return NOWHERE
        if action.scope == "region":
            raise missing("RegionId")
        return self._region_with(params)

    def _region_with(self, params: Params) -> Region:
        ids = instance_ids_of(params)
        for region in self.regions.values():
            if (
                any(id in region.instances for id in ids)
                or params.get("DiskId") in region.disks
                or params.get("SnapshotId") in region.snapshots
            ):
                return region
        # A resource that exists nowhere is not found in the first region, in the action's own words.
        return next(iter(self.regions.values()))

    def run(self, *, action: Action, params: Params, request_id: str, entry: dict[str, Any]) -> Answer:
        """Run a checked call: quota, token, faults, action, and one transaction for all it changed.

        `entry` is the journal's, filled on the way and saved with the change. Raises ApiError or DropAnswer.
        """
        now = self.clock.now()
        region = self.region_of(action, params)
        entry["region"] = region.id
        quota = self.settings.quotas.get(action.name)
        if not self.throttle.admits(region=region.id, action=action.name, quota=quota, now=now):
            raise common_error("Throttling.User")
        token = self._client_token(action, params)
        if token:
            request = params.business("RegionId", "ClientToken") | {"__region__": region.id}
            known = self.tokens.begin(
                action=action.name,
                token=token,
                request=request,
                now=now,
                memory=self.settings.token_memory_seconds,
            )
            if known is not None:
                entry["replayed"] = True
                if "__error__" in known:
                    raise ApiError(*known["__error__"])
                self._end(region, entry, None, faults=[])
                return {**known, "RequestId": request_id}
        try:
            met = self.faults.meet(action=action.name, instance_ids=instance_ids_of(params))
            entry["faults"] = [fault.kind for fault in met]
            self._before(met, params)
            lasting = [fault for fault in met if fault.kind in LASTING or fault.kind == "error"]
            with region.lock:
                call = Call(
                    action.name,
                    params,
                    region,
                    self.regions,
                    self.settings,
                    self.edition,
                    # Read under the lock: a call must not see what the one before it did as still to come.
                    self.clock.now(),
                    request_id,
                    lasting,
                )
                answer = action.handler(call)
                entry["effect"] = call.effect
                row = self.tokens.finish(action=action.name, token=token, answer=answer) if token else None
                self._end(region, entry, row, faults=met)
        except ApiError as error:
            if token:
                self.tokens.fail(action=action.name, token=token, error=error, remember=self.settings.remember_failures)
            raise
        except DropAnswer:
            if token and not entry.get("effect"):
                self.tokens.fail(action=action.name, token=token, error=common_error("InternalError"), remember=False)
            raise
        return {**answer, "RequestId": request_id}

    def _client_token(self, action: Action, params: Params) -> str:
        token = params.get("ClientToken") if action.has_token else ""
        if len(token) > 64 or not token.isascii():
            raise common_error("InvalidClientToken.ValueNotSupported")
        return token

    def _before(self, met: list[Fault], params: Params) -> None:
        for fault in met:
            if fault.kind == "delay":
                sleep(fault.seconds)
            elif fault.kind == "drop":
                raise DropAnswer
            elif fault.kind == "error" and not (fault.instance and params.get("BatchOptimization") == "SuccessFirst"):
                raise fault_error(self.edition, fault)

    def _end(
        self, region: Region, entry: dict[str, Any], token: tuple[str, dict[str, Any]] | None, *, faults: list[Fault]
    ) -> None:
        dropped = any(fault.kind == "commit_then_drop" for fault in faults)
        entry["http_status"], entry["code"] = (0, "(answer lost)") if dropped else (200, "")
        changed, removed = region.take_changes()
        self.store.write(changed=changed, removed=removed, token=token, journal=self.journal.add(entry))
        if dropped:
            raise DropAnswer

    def record(self, entry: dict[str, Any]) -> None:
        """Write a call that did not run to its end into the journal."""
        self.store.write(journal=self.journal.add(entry))

    def all_disks(self) -> Iterable[Disk]:
        """Yield every disk there ever was."""
        for region in self.regions.values():
            yield from list(region.disks.values())

    def snapshots(self) -> Iterable[Snapshot]:
        """Yield every snapshot there ever was."""
        for region in self.regions.values():
            yield from list(region.snapshots.values())

    def close(self) -> None:
        """Save what is left to save and close the state file."""
        self.store.close()


def fault_error(rules: Edition, fault: Fault) -> ApiError:
    """Build the error a fault asks for."""
    error = rules.error(fault.code)
    return ApiError(error.code, fault.status or error.status, fault.message or error.message)


def instance_ids_of(params: Params) -> list[str]:
    """Return the instances that a call names, in whichever form."""
    ids = [params.get("InstanceId")] if params.get("InstanceId") else []
    ids += params.repeated("InstanceId")
    text = params.get("InstanceIds")
    if text:
        try:
            ids += params.json_list("InstanceIds", most=1000) or []
        except ApiError:
            return ids
    return ids


def new_entry(*, action: str, values: dict[str, str], access_key_id: str, request_id: str, at: str) -> dict[str, Any]:
    """Begin a journal entry for a call of an action in the registry or any other name."""
    known = ACTIONS.get(action)
    return {
        "at": at,
        "action": action[:64],
        "region": values.get("RegionId", "")[:64],
        "params": without_secrets(values),
        "unknown": known.unknown(values)[:50] if known else [],
        "http_status": 0,
        "code": "",
        "request_id": request_id,
        "client_token": values.get("ClientToken", "")[:64],
        "effect": False,
        "access_key_id": access_key_id[:64],
    }
