"""The page at /__emulator__/ for a person: fleet, calls, faults. It only shows; it needs nothing from elsewhere."""

from collections import Counter
from html import escape
from typing import Any

from fleet.emulator.control.ledger import ledger
from fleet.emulator.provider import Provider
from fleet.emulator.wire.errors import DATA
from fleet.emulator.wire.times import to_second
from fleet.emulator.world.resources import Instance

Answer = tuple[int, str, bytes, list[tuple[str, str]]]
STRICT = [
    ("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
]
ROWS = 100
CALLS = 60
WIDE = ("Tags", "Parameters")  # the columns that wrap; the others stay on one line, and the table scrolls


def stylesheet() -> Answer:
    """Return the stylesheet."""
    return 200, "text/css;charset=utf-8", (DATA / "emulator.css").read_bytes(), STRICT


def page(provider: Provider, query: dict[str, str]) -> Answer:
    """Return the page; `q` filters the fleet by id, name, status, image or tag, `instance` shows one machine."""
    wanted, chosen = query.get("q", "").strip()[:200], query.get("instance", "")[:64]
    everything = [one for region in provider.regions.values() for one in list(region.instance_order)]
    body = "\n".join(
        (
            _head(provider, len(everything)),
            _machine(provider, chosen) if chosen else "",
            _systems(provider, everything),
            _fleet(provider, everything, wanted),
            _calls(provider),
            _faults(provider),
        )
    )
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ECS emulator</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        '<link rel="stylesheet" href="/__emulator__/emulator.css"></head>'
        f"<body><main>{body}</main></body></html>"
    )
    return 200, "text/html;charset=utf-8", html.encode("utf-8", "replace"), STRICT


def _head(provider: Provider, count: int) -> str:
    settings = provider.settings
    replaced = sum(1 for disk in provider.all_disks() if disk.how == "ReplaceSystemDisk")
    facts = {
        "Machines": f"{count:,}",
        "Calls": f"{provider.journal.last_seq:,}",
        "Disks replaced": f"{replaced:,}",
        "Faults in force": str(len(provider.faults.as_list())),
        "Edition": settings.edition,
        "Speed": f"{settings.speed:g} x",
        "Stop, replace, start": ", ".join(f"{settings.lasts(one):g} s" for one in ("stop", "replace", "start")),
        "Clock": to_second(provider.clock.now()),
    }
    pairs = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items())
    return (
        "<header><h1>ECS emulator</h1><p>A local endpoint of the ECS API. Nothing here is real: no machine, no disk, no "
        'bill.</p><nav aria-label="Sections"><a href="#fleet">Fleet</a> <a href="#calls">Calls</a> '
        f'<a href="#faults">Faults</a></nav></header><dl class="facts">{pairs}</dl>'
    )


def _systems(provider: Provider, everything: list[Instance]) -> str:
    now = provider.clock.now()
    systems = Counter((one.system.at(now).os_name_en, one.region) for one in everything)
    names = sorted(
        {name for name, _ in systems}, key=lambda name: (-sum(systems[name, r] for r in provider.regions), name)
    )
    rows = [[name, *(str(systems[name, region] or "") for region in provider.regions)] for name in names]
    return f"<h2>Operating systems</h2>{_table(['System', *provider.regions], rows, numbers=len(provider.regions))}"


def _fleet(provider: Provider, everything: list[Instance], wanted: str) -> str:
    now = provider.clock.now()
    found = [one for one in everything if _matches(one, wanted, now)] if wanted else everything
    rows = []
    for one in found[:ROWS]:
        system = one.system.at(now)
        status = one.status.at(now) if one.system.settled(now) else "Replacing"
        tags = " ".join(f"{key}={value}" for key, value in one.tags.items())
        link = f'<a href="/__emulator__/?instance={escape(one.id)}"><code>{escape(one.id)}</code></a>'
        rows.append([Raw(link), one.name, status, system.os_name_en, one.region, one.type_id, tags])
    form = (
        '<form role="search" action="/__emulator__/"><label for="q">Filter by id, name, status, image or tag</label> '
        f'<input id="q" name="q" type="search" value="{escape(wanted)}"> <button>Filter</button></form>'
    )
    note = f"<p>{len(found):,} of {len(everything):,} machines; the first {min(ROWS, len(found))} are shown.</p>"
    table = _table(["Instance", "Name", "Status", "System", "Region", "Type", "Tags"], rows)
    return f'<h2 id="fleet">Fleet</h2>{form}{note}{table}'


def _matches(one: Instance, wanted: str, now: float) -> bool:
    system = one.system.at(now)
    tags = (f"{key}={value}" for key, value in one.tags.items())
    texts = (one.id, one.name, one.status.at(now), system.image_id, system.os_name_en, system.disk_id, *tags)
    return any(wanted.lower() in text.lower() for text in texts)


def _machine(provider: Provider, instance_id: str) -> str:
    found = ledger(provider, instance_id=instance_id)
    if not found["disks"]:
        return f"<h2>{escape(instance_id)}</h2><p>There is no such machine.</p>"
    rows = [
        [
            Raw(f"<code>{escape(disk['disk_id'])}</code>"),
            disk["kind"],
            f"{disk['size']} GiB",
            disk["image_id"],
            disk["created_at"],
            disk["released_at"] or ("being released" if disk["releasing"] else "in use"),
            disk["how"],
        ]
        for disk in found["disks"]
    ]
    login = found["logins"].get(instance_id, {})
    by = f"key pair {login['key_pair']}" if login.get("key_pair") else "no key pair"
    password = "a password opens it" if login.get("password_login") else "no password opens it"
    table = _table(["Disk", "Kind", "Size", "Image", "Created", "Released", "By"], rows)
    return f"<h2>{escape(instance_id)}</h2><p>Sign-in: {escape(by)}, {password}.</p>{table}"


def _calls(provider: Provider) -> str:
    rows = []
    for entry in provider.journal.latest(CALLS):
        outcome = entry["code"] or ("changed" if entry["effect"] else "read")
        named = {k: v for k, v in entry["params"].items() if k != "RegionId"}
        text = " ".join(f"{key}={value}" for key, value in named.items())[:240]
        unknown = f" (unknown: {', '.join(entry['unknown'])})" if entry.get("unknown") else ""
        row = [str(entry["seq"]), entry["at"], entry["action"], entry["region"], outcome, text + unknown]
        rows.append([*row, entry["access_key_id"]])
    if not rows:
        return '<h2 id="calls">Calls</h2><p>No call yet. Point a client at this address.</p>'
    return f'<h2 id="calls">Calls</h2>{_table(["No.", "At", "Action", "Region", "Outcome", "Parameters", "Key"], rows)}'


def _faults(provider: Provider) -> str:
    rows = [
        [
            fault["kind"] + (f" {fault['code']}" if fault["code"] else ""),
            fault["action"] or "any action",
            fault["instance"] or "any machine",
            f"from call {fault['nth']}, {fault['times'] or 'all'} times",
            f"{fault['fired']} of {fault['seen']} calls",
        ]
        for fault in provider.faults.as_list()
    ]
    if rows:
        table = _table(["Fault", "Action", "Machine", "When", "Met"], rows)
    else:
        example = (
            """curl -d '{"kind":"commit_then_drop","action":"ReplaceSystemDisk"}' localhost:PORT/__emulator__/faults"""
        )
        table = f"<p>None in force. For example:</p><pre><code>{escape(example)}</code></pre>"
    return f'<h2 id="faults">Faults</h2>{table}'


class Raw(str):
    """Text that is HTML already."""

    __slots__ = ()


def _table(heads: list[str], rows: list[list[Any]], *, numbers: int = 0) -> str:
    first_number = len(heads) - numbers

    def head_cell(index: int, text: str) -> str:
        return f'<th scope="col"{" class=n" if index >= first_number else ""}>{escape(text)}</th>'

    def cell(index: int, value: Any) -> str:
        text = value if isinstance(value, Raw) else escape(str(value))
        if index >= first_number:
            return f'<td class="n">{text}</td>'
        return f'<td class="w">{text}</td>' if heads[index] in WIDE else f"<td>{text}</td>"

    head = "".join(head_cell(index, one) for index, one in enumerate(heads))
    body = "".join(f"<tr>{''.join(cell(i, one) for i, one in enumerate(row))}</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
