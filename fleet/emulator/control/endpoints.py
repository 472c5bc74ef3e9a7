"""The control API below /__emulator__/: JSON in and out, from this machine only."""

import ipaddress
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from fleet.emulator.actions.images import image_view
from fleet.emulator.contract.call import Call
from fleet.emulator.control.ledger import ledger
from fleet.emulator.control.page import page, stylesheet
from fleet.emulator.control.patching import patch_image, patch_instance, show_instance
from fleet.emulator.provider import Provider
from fleet.emulator.wire.messages import MOST_BODY
from fleet.emulator.wire.params import Params
from fleet.emulator.world.catalogue import REGION_IDS
from fleet.emulator.world.faults import parse_fault
from fleet.emulator.world.region import Region

Answer = tuple[int, str, bytes, list[tuple[str, str]]]
JSON = "application/json;charset=utf-8"
MOST_INSTANCES = 1_000_000
PREFIX = "/__emulator__/"


class NotFoundHere(Exception):
    """There is nothing at that path; the message says what there is."""


class Control:
    """Answers the control API and the page."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def answer(self, environ: dict[str, Any]) -> Answer:
        """Answer a request; only a peer on this machine gets more than a refusal."""
        if not _is_local(environ):
            return _json(403, {"error": "The control API answers this machine only."})
        path = str(environ.get("PATH_INFO", ""))[len(PREFIX) :].strip("/")
        method = environ["REQUEST_METHOD"]
        if method in ("GET", "HEAD") and path == "":
            return page(self.provider, _query(environ))
        if method in ("GET", "HEAD") and path == "emulator.css":
            return stylesheet()
        try:
            return self._act("GET" if method == "HEAD" else method, path, environ)
        except NotFoundHere as error:
            return _json(404, {"error": str(error)})
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            return _json(422, {"error": str(error)})

    def _act(self, method: str, path: str, environ: dict[str, Any]) -> Answer:
        name, _, id = path.partition("/")
        if method == "GET" and name == "journal":
            return self._journal(_query(environ))
        if method == "GET" and name == "ledger":
            query = _query(environ)
            found = ledger(
                self.provider, instance_id=query.get("instance", ""), since_seed=query.get("since") == "seed"
            )
            return _json(200, found)
        routes: dict[tuple[str, str], Callable[[str, dict[str, Any]], Any]] = {
            ("GET", "health"): self._health,
            ("GET", "settings"): lambda _id, _raw: self._settings(),
            ("PUT", "settings"): self._set_settings,
            ("POST", "reset"): self._reset,
            ("GET", "instances"): self._show_instance,
            ("PATCH", "instances"): self._patch_instance,
            ("GET", "images"): self._show_image,
            ("PATCH", "images"): self._patch_image,
            ("DELETE", "images"): self._delete_image,
            ("GET", "durations"): lambda _id, _raw: self.provider.settings.durations,
            ("PUT", "durations"): self._set_durations,
            ("GET", "quotas"): lambda _id, _raw: self.provider.settings.quotas,
            ("PUT", "quotas"): self._set_quotas,
            ("GET", "faults"): lambda _id, _raw: {"faults": self.provider.faults.as_list()},
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._clear_faults,
        }
        act = routes.get((method, name))
        if act is None:
            known = ", ".join(f"{m} {n}" for m, n in routes)
            raise NotFoundHere(f"There is no {method} {name}. There is: {known}, GET journal, GET ledger.")
        return _json(200, act(id, _body(environ) if method in ("POST", "PUT", "PATCH") else {}))

    def _health(self, _id: str, _raw: dict[str, Any]) -> dict[str, Any]:
        provider = self.provider
        return {
            "status": "ok",
            "instances": sum(len(region.instances) for region in provider.regions.values()),
            "calls": provider.journal.last_seq,
            "edition": provider.settings.edition,
            "now": provider.clock.now(),
        }

    def _settings(self) -> dict[str, Any]:
        return {key: value for key, value in self.provider.settings.as_dict().items() if key != "token_key"}

    def _set_settings(self, _id: str, raw: dict[str, Any]) -> dict[str, Any]:
        self.provider.settings.set_others(raw)
        self.provider.save_settings()
        return self._settings()

    def _set_durations(self, _id: str, raw: dict[str, Any]) -> dict[str, float]:
        self.provider.settings.set_durations(raw)
        self.provider.save_settings()
        return self.provider.settings.durations

    def _set_quotas(self, _id: str, raw: dict[str, Any]) -> dict[str, int]:
        self.provider.settings.set_quotas(raw)
        self.provider.save_settings()
        return self.provider.settings.quotas

    def _reset(self, _id: str, raw: dict[str, Any]) -> dict[str, Any]:
        unknown = set(raw) - {"instances", "seed", "regions", "plain"}
        if unknown:
            raise ValueError("reset takes instances, seed, regions (a list of ids) and plain (true or false).")
        count, seed, regions = raw.get("instances"), raw.get("seed"), raw.get("regions")
        for value in (count, seed):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise ValueError("instances and seed are whole numbers.")
        if count is not None and not 0 <= count <= MOST_INSTANCES:
            raise ValueError(f"instances is from 0 to {MOST_INSTANCES}.")
        if regions is not None and (not regions or not set(regions) <= set(REGION_IDS)):
            raise ValueError(f"regions is a list of {', '.join(REGION_IDS)}.")
        self.provider.reset(instances=count, seed=seed, regions=regions, plain=bool(raw.get("plain")))
        return self._health("", {})

    def _show_instance(self, id: str, _raw: dict[str, Any]) -> dict[str, Any]:
        found = self.provider.instance(id)
        if found is None:
            raise NotFoundHere(f"There is no instance {id}.")
        region, instance = found
        with region.lock:
            return show_instance(region, instance, self.provider.clock.now())

    def _patch_instance(self, id: str, raw: dict[str, Any]) -> dict[str, Any]:
        found = self.provider.instance(id)
        if found is None:
            raise NotFoundHere(f"There is no instance {id}.")
        region, instance = found
        with region.lock:
            patch_instance(region, instance, raw, self.provider.clock.now())
            self.provider.save(region)
        return self._show_instance(id, {})

    def _regions_with_image(self, id: str) -> list[Region]:
        # A public image is in every region under the same id, and is changed in all of them.
        found = [region for region in self.provider.regions.values() if id in region.images]
        if not found:
            raise NotFoundHere(f"There is no image {id}.")
        return found

    def _show_image(self, id: str, _raw: dict[str, Any]) -> dict[str, Any]:
        region = self._regions_with_image(id)[0]
        provider = self.provider
        call = Call(
            "", Params({}), region, provider.regions, provider.settings, provider.edition, provider.clock.now(), ""
        )
        image = region.images[id]
        hidden = ("has_password", "removed_from_market", "buy_quota_exceeded", "not_resizable", "refuse")
        return {
            **image_view(image, call),
            "InstanceTypeFamilies": list(image.type_families),
            "Hidden": {name: getattr(image, name) for name in hidden},
        }

    def _patch_image(self, id: str, raw: dict[str, Any]) -> dict[str, Any]:
        for region in self._regions_with_image(id):
            with region.lock:
                patch_image(region, region.images[id], raw)
                self.provider.save(region)
        return self._show_image(id, {})

    def _delete_image(self, id: str, _raw: dict[str, Any]) -> dict[str, Any]:
        for region in self._regions_with_image(id):
            with region.lock:
                region.remove_image(region.images[id])
                self.provider.save(region)
        return {"deleted": id}

    def _add_fault(self, _id: str, raw: dict[str, Any]) -> dict[str, Any]:
        self.provider.faults.add(parse_fault(raw))
        return {"faults": self.provider.faults.as_list()}

    def _clear_faults(self, _id: str, _raw: dict[str, Any]) -> dict[str, Any]:
        self.provider.faults.clear()
        return {"faults": []}

    def _journal(self, query: dict[str, str]) -> Answer:
        since = int(query.get("since", "0"))
        limit = int(query["limit"]) if "limit" in query else None
        lines = self.provider.journal.since(since, limit=limit)
        body = '{"entries":[' + ",\n".join(lines) + f'],"last_seq":{self.provider.journal.last_seq}}}'
        return 200, JSON, body.encode(), []


def _is_local(environ: dict[str, Any]) -> bool:
    # A browser on this machine may be sent here by a page from elsewhere: it then names that page, or another host.
    host = str(environ.get("HTTP_HOST", ""))
    if not _is_loopback(_without_port(host)):
        return False
    if environ.get("HTTP_ORIGIN", f"http://{host}") != f"http://{host}":
        return False
    return environ.get("HTTP_SEC_FETCH_SITE") != "cross-site" and _is_loopback(str(environ.get("REMOTE_ADDR", "")))


def _without_port(host: str) -> str:
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        peer = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(peer, "ipv4_mapped", None)
    return bool((mapped or peer).is_loopback)


def _query(environ: dict[str, Any]) -> dict[str, str]:
    return {k: v[0] for k, v in parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True).items()}


def _body(environ: dict[str, Any]) -> dict[str, Any]:
    text = str(environ.get("CONTENT_LENGTH") or "0")
    if not (text.isascii() and text.isdigit()) or int(text) > MOST_BODY:
        raise ValueError("The body is too long.")
    raw = environ["wsgi.input"].read(int(text)) if int(text) else b"{}"
    body = json.loads(raw)
    if not isinstance(body, dict):
        raise ValueError("The body is a JSON object.")
    return body


def _json(status: int, data: Any) -> Answer:
    return status, JSON, json.dumps(data, ensure_ascii=False).encode(), []
