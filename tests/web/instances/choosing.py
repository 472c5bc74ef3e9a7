"""A tab on the list of machines, over HTTP: it sends what a browser would send of the page that it shows."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.test import Client

from fleet.models import Change

HTMX = {"HX-Request": "true"}


def shown(answer: Any) -> list[str]:
    """Return the names of the machines on a page."""
    return re.findall(r'<th scope="row"><a class="plain" href="/instances/\d+">([^<]+)</a>', answer.text)


def drafted() -> set[int]:
    """Return the machines that the newest draft names, those left out with a reason included."""
    made = Change.objects.latest("pk")
    found = set(made.targets.values_list("instance_id", flat=True))
    return found | set(made.left_out.exclude(instance=None).values_list("instance_id", flat=True))


class Tab:
    """One tab: what its page says is read from the page alone. `script` says whether htmx runs in it."""

    def __init__(self, client: Client, *, script: bool = True) -> None:
        self.client, self.script = client, script
        self.filter: dict[str, str] = {}
        self.status, self.text, self.address = 200, "", "/instances"
        self.read(client.get("/instances"))

    def read(self, answer: Any) -> None:
        """Show the page of an answer, following where it leads."""
        if answer.status_code == 302:
            self.address = answer["Location"]
            answer = self.client.get(self.address)
        self.status, self.text = answer.status_code, answer.text
        self.address = answer.headers.get("HX-Push-Url", self.address)
        self.rows = [int(pk) for pk in re.findall(r'<input type="checkbox" name="instance" value="(\d+)"', self.text)]
        self.ticks = {int(pk) for pk in re.findall(r'name="instance" value="(\d+)"[^>]* checked>', self.text)}
        self.hidden = {name: self._hidden(name) for name in ("sort", "matching", "shown", "rest")}
        if found := self._hidden("selection"):
            self.selection = found
        self.elsewhere = int(re.findall(r'data-elsewhere="(\d+)"', self.text)[0])
        number = re.findall(r"<span data-tick-count>([\d,]+)</span> <span data-tick-noun>", self.text)[0]
        self.selected = int(number.replace(",", ""))

    def _hidden(self, name: str) -> str:
        found = re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)">', self.text)
        return found[0] if found else ""

    @property
    def form(self) -> dict[str, Any]:
        """Return what a form on the page holds now."""
        return {**self.filter, **self.hidden, "selection": self.selection, "instance": sorted(self.ticks)}

    def press(self, **button: str) -> None:
        """Press a button of the list, or change its filter."""
        headers = HTMX if self.script and button.get("act") != "change" else {}
        self.read(self.client.post("/instances", self.form | button, headers=headers))

    def narrow(self, **values: str) -> None:
        """Change the filter."""
        self.filter = values
        self.press()

    def turn(self, way: str) -> bool:
        """Go to the `next` or `previous` page, where there is one."""
        found = re.findall(rf'name="to" value="({way}:[^"]*)"', self.text)
        if found:
            self.press(to=found[0])
        return bool(found)

    def tick(self, *pks: int, on: bool = True) -> None:
        """Change ticks of the page; with htmx they are saved at once, and the number is the server's."""
        self.ticks = self.ticks | set(pks) if on else self.ticks - set(pks)
        self.selected = len(self.ticks) + self.elsewhere
        if self.script:
            answer = self.client.post("/instances", self.form | {"act": "tick"}, headers=HTMX)
            assert answer.status_code == 200, answer.status_code
            number = re.findall(r"<span data-tick-count>([\d,]+)</span>", answer.text)[0]
            self.selected = int(number.replace(",", ""))
            self.address = answer["HX-Replace-Url"]
            assert parse_qs(urlsplit(self.address).query)["selection"] == [self.selection]

    def change(self) -> Any:
        """Press Change OS; return the answer."""
        return self.client.post("/instances", self.form | {"act": "change"})

    def reload(self) -> None:
        """Load the page that the address bar names; without htmx it names the ticks of the last press."""
        self.read(self.client.get(self.address))
