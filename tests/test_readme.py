"""What the README says of the program is so: its drawings, its paths, its pictures, and the tables beside it."""

import re
import tomllib
from pathlib import Path

from fleet.engine.graph import BY_PERSONS, FINAL, GRAPH
from fleet.models import ChangeState

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
RUNNING = (ROOT / "fleet" / "management" / "README.md").read_text()
MOST_LINES = 250
LARGEST_PICTURE = 160 * 1024  # bytes


def part(heading: str) -> str:
    """Return what stands below a heading, up to the next one."""
    return re.split(r"^#+ ", README.split(f"\n{heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def drawn(text: str) -> str:
    """Return the lines of a text that are drawings: those that are indented as code."""
    return "\n".join(line for line in text.splitlines() if line.startswith("    "))


def folders_of_the_map() -> set[Path]:
    """Return every folder and file that the map names, each below the one that it is indented under."""
    found, above = set[Path](), {4: ROOT}
    for line in drawn(part("## The map")).splitlines():
        indent = len(line) - len(line.lstrip())
        here = above.get(indent)
        if here is None or " > " in line:
            continue
        named = re.match(r"\s*((?:[\w.]+(?:/|\.py) ?)+)", line)
        assert named, line
        found |= (paths := {here / name for name in named[1].split()})
        above[indent + 2] = here / named[1].split()[0]
        # Rooms that are only named: "draft/ checking/ review/ run/" in the line of change/.
        for name in re.findall(r"[\w]+/(?= |,|$|;)", line[named.end() :]):
            inside = next((path for path in [*(each / name for each in paths), here / name] if path.is_dir()), None)
            assert inside, f"{name} of {line}"
            found.add(inside)
    return found


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= MOST_LINES


def test_its_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 2
    for picture in pictures:
        assert (ROOT / picture).read_bytes().startswith(b"\xff\xd8\xff")
        assert (ROOT / picture).stat().st_size < LARGEST_PICTURE, picture


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"(?<!!)\[[^\]]+\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_map_names_what_there_is_and_every_room() -> None:
    named = folders_of_the_map()
    assert [str(path) for path in named if not path.exists()] == []
    packages = {path.parent for path in (ROOT / "fleet").rglob("__init__.py")} - {ROOT / "fleet"}
    inside_the_emulator = {path for path in packages if ROOT / "fleet" / "emulator" in path.parents}
    assert packages - inside_the_emulator - named == set()


def test_the_order_of_the_floors_is_that_of_the_contract() -> None:
    (line,) = [line for line in drawn(part("## The map")).splitlines() if " > " in line]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (floors,) = [each["layers"] for each in contracts if each.get("containers") == ["fleet"]]
    assert [floor.strip().replace(", ", " | ") for floor in line.split(">")] == floors


def test_every_path_of_where_does_it_go_exists() -> None:
    rows = [row.split("|")[1:-1] for row in part("### Where does it go?").splitlines() if row.startswith("| a")]
    assert len(rows) >= 7
    for what, first, then in rows:
        (path,) = re.findall(r"`([^`]+)`", first)
        assert (ROOT / path).exists(), what
        folder = ROOT / path if (ROOT / path).is_dir() else (ROOT / path).parent
        beside = re.findall(r"`([^`]+)`", then)
        assert [each for each in beside if not ((ROOT / each).exists() or (folder / each).exists())] == []


def test_the_drawings_show_the_states_that_there_are() -> None:
    words = drawn(part("## How a change travels"))
    states = [state.value for state in (*GRAPH, *BY_PERSONS, *FINAL)]
    assert len(states) == 15
    changes = [state.value.replace("_", " ") for state in ChangeState]
    assert [state for state in (*states, *changes) if not re.search(rf"\b{state}\b", words)] == []


def test_every_setting_and_every_command_is_in_its_table() -> None:
    source = (ROOT / "fleet" / "settings.py").read_text()
    settings = set(re.findall(r"(?:environ\.get\(|_secret\()\"(\w+)\"", source))
    assert len(settings) >= 10
    tables = "\n".join(line for line in RUNNING.splitlines() if line.startswith("|"))
    assert {name for name in settings if f"`{name}`" not in tables} == set()
    commands = {path.stem for path in (ROOT / "fleet" / "management" / "commands").glob("[a-z]*.py")}
    assert {name for name in commands if not re.search(rf"`{name}\b", tables)} == set()
