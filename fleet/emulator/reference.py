"""The tables of the README beside this file, made from the registry and the demo fleet themselves."""

from fleet.emulator import actions as _all_actions
from fleet.emulator.contract.edition import edition
from fleet.emulator.contract.registry import ACTIONS
from fleet.emulator.seed.fleet import LEAST_FOR_CASES, seed_fleet
from fleet.emulator.world.catalogue import REGION_IDS
from fleet.emulator.world.region import Region

assert _all_actions.LOADED

# The refusals that depend on the request alone, with the request that earns each from the demo fleet.
# The rest of the request names i-23jggx34b, or any other stopped machine with a disk of 40 GiB, and m-myimage11.
REQUEST_ROWS: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("InvalidPassword.Malformed", 400, {"Password": "short"}),
    ("InvalidPasswordParam.Mismatch", 400, {"Password": "Abcdefg1", "PasswordInherit": "true"}),
    ("InvalidSystemDiskSize", 400, {"SystemDisk.Size": "40.5"}),
    ("InvalidSystemDiskSize.ValueNotSupported", 400, {"SystemDisk.Size": "30"}),
    ("InvalidImageId.NotFound", 404, {"ImageId": "m-nosuchimage"}),
    ("InvalidInstanceId.NotFound", 404, {"InstanceId": "i-nosuchinstance"}),
    (
        "InvalidSystemDiskSize.LessThanImageSize",
        404,
        {"ImageId": "m-bp1goldendb202606", "SystemDisk.Size": "30"},
    ),
    ("InvalidSystemDiskSize.LessThanMinSize", 404, {"SystemDisk.Size": "19"}),
    ("InvalidSystemDiskSize.MoreThanMaxSize", 404, {"SystemDisk.Size": "501"}),
    ("NoSuchResource", 404, {"KeyPairName": "no-such-pair"}),
)


def describe() -> str:
    """Return the tables as Markdown."""
    return "\n".join((*actions_table(), "", *cases_table(), "", *requests_table()))


def actions_table() -> list[str]:
    """Return the lines of the table of actions: parameters honoured, parameters accepted and ignored."""
    lines = ["| action | honoured | accepted and ignored |", "|---|---|---|"]
    for name in sorted(ACTIONS):
        action = ACTIONS[name]
        lines.append(f"| {name} | {_codes(action.honoured)} | {_codes(action.ignored)} |")
    return lines


def cases_table() -> list[str]:
    """Return the lines of the table of refusals by state, read from the demo fleet itself."""
    regions = {id: Region(id) for id in REGION_IDS}
    seed_fleet(regions, count=LEAST_FOR_CASES, seed=1, now=0.0, only=None, plain=False)
    first = regions[REGION_IDS[0]]
    met: dict[str, str] = {}
    for instance in first.instance_order:
        if "case" in instance.tags:
            met[instance.tags["case"]] = "the tagged instance, with its own image"
    for image in first.images.values():
        if "case" in image.tags:
            size = " and a size other than its own" if image.not_resizable else ""
            met[image.tags["case"]] = f"a plain stopped x86 Linux machine, with the tagged image{size}"
    rules = edition("2018")
    lines = ["| tag | HTTP | ReplaceSystemDisk of |", "|---|---|---|"]
    for code in sorted(met, key=str.lower):
        status = code.rpartition(".")[2]
        shown = int(status) if status.isdigit() else rules.error(code).status
        lines.append(f"| `case={code}` | {shown} | {met[code]} |")
    return lines


def requests_table() -> list[str]:
    """Return the lines of the table of refusals by the request alone."""
    lines = ["| error code | HTTP | ReplaceSystemDisk of a plain stopped machine, with |", "|---|---|---|"]
    for code, status, parameters in REQUEST_ROWS:
        shown = " ".join(f"`{name}={value}`" for name, value in parameters.items())
        lines.append(f"| {code} | {status} | {shown} |")
    return lines


def _codes(names: tuple[str, ...]) -> str:
    return " ".join(f"`{name}`" for name in names) or "none"
