"""Choosing by a pasted or uploaded list: what each entry means, and one press takes those that were found."""

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Change, Instance, Role, Selection
from tests.support.people import account, machine, person, signed_in
from tests.web.instances.choosing import Tab

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod() -> Account:
    made = account()
    for number in range(1, 6):
        machine(made, number)
    machine(made, 6, gone_at=DatabaseClock().now())
    machine(made, 7, name="web-0001")
    machine(made, 8, environment="dev")
    return made


@pytest.fixture
def client(prod: Account) -> Client:
    user = person("operator", Role.OPERATOR, environment="prod")
    user.grants.create(role=Role.VIEWER)
    return signed_in(user)


def pasted(client: Client, text: str, selection: str = "", **other: Any) -> Any:
    return client.post("/instances/paste", {"text": text, "selection": selection, "act": "judge", **other})


def meanings(answer: Any) -> list[tuple[str, str]]:
    """Return the entries with what they mean, as the page shows them."""
    rows = re.findall(
        r'<span class="id">([^<]+)</span></th><td><span class="badge" [^>]*>.*?</svg>([^<]+)<', answer.text
    )
    return [(entry, said) for entry, said in rows]


def test_each_entry_is_shown_with_what_it_means(client: Client, prod: Account) -> None:
    tab = Tab(client)
    tab.tick(Instance.objects.get(instance_id="i-prod0005").pk)
    text = 'I-PROD0002, web-0003;"10.0.0.5"\nweb-0001 | i-prod0001\tweb-0006 web-0008\r\nno-such i-prod0003 web-0005'
    answer = pasted(client, text, tab.selection)
    assert dict(meanings(answer)) == {
        "I-PROD0002": "Found",
        "web-0003": "Found",
        "10.0.0.5": "Found",
        "web-0001": "Several fit",
        "i-prod0001": "Found",
        "web-0006": "Gone",
        "web-0008": "Not permitted",
        "no-such": "Nothing fits",
        "i-prod0003": "Named twice",
        "web-0005": "Already selected",
    }
    assert "The same machine as on line 1" in answer.text
    assert (
        "2 machines fit: i-prod0001 in prod, cn-hangzhou and i-prod0007 in prod, cn-hangzhou. Paste the id"
        in answer.text
    )
    assert "Take 4 machines into the selection" in answer.text
    assert "4 entries will stand in the draft as left out" in answer.text


def test_one_press_takes_the_good_ones_and_the_draft_lists_the_rest(client: Client, prod: Account) -> None:
    tab, text = Tab(client), "web-0002 web-0003 no-such web-0006 web-0008"
    answer = pasted(client, text)
    selection = re.findall(r'name="selection" value="([^"]+)"', answer.text)[0]
    seal = re.findall(r'name="seal" value="([^"]+)"', answer.text)[0]
    answer = pasted(client, text, selection, act="take", seal=seal)
    assert answer.status_code == 302
    tab.address = answer["Location"]
    tab.reload()
    assert tab.selected == 2
    assert "2 machines of the list taken into the selection." in tab.text
    assert "3 pasted lines without a machine" in tab.text
    assert tab.change().status_code == 302
    made = Change.objects.get()
    assert set(made.targets.values_list("instance__name", flat=True)) == {"web-0002", "web-0003"}
    assert set(made.left_out.values_list("named", "code", "instance__name")) == {
        ("no-such", "unknown", None),
        ("web-0006", "gone", "web-0006"),
        ("web-0008", "not_permitted", "web-0008"),
    }


def test_clearing_the_selection_forgets_the_lines_without_a_machine(client: Client) -> None:
    answer = pasted(client, "web-0002 no-such")
    selection = re.findall(r'name="selection" value="([^"]+)"', answer.text)[0]
    seal = re.findall(r'name="seal" value="([^"]+)"', answer.text)[0]
    tab = Tab(client)
    tab.address = pasted(client, "web-0002 no-such", selection, act="take", seal=seal)["Location"]
    tab.reload()
    tab.press(act="clear")
    assert "without a machine" not in tab.text
    assert Selection.objects.get().misses == []


def test_what_was_not_shown_is_not_taken(client: Client) -> None:
    answer = pasted(client, "web-0002")
    seal = re.findall(r'name="seal" value="([^"]+)"', answer.text)[0]
    answer = pasted(client, "web-0002 web-0003", act="take", seal=seal)
    assert answer.status_code == 409
    assert "Nothing was taken." in answer.text
    assert not Selection.objects.exists()


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_read_as_spreadsheets_write_it(client: Client, coding: str) -> None:
    file = SimpleUploadedFile("list.csv", "name,address\r\nweb-0002,10.0.0.3\r\n".encode(coding))
    answer = pasted(client, "web-0004", file=file)
    found = [entry for entry, said in meanings(answer) if said == "Found"]
    assert found == ["web-0004", "web-0002"]


@pytest.mark.parametrize(
    ("text", "content", "said"),
    [
        ("", b"", "The list is empty."),
        (" ,;\n", b"", "The list is empty."),
        ("", b"\x80\x81\xff", "The file is no text."),
        ("", b"x" * (2 * 1024**2 + 1), "The file is larger than 2 MiB."),
        ("a " * 10_001, b"", "The list has 10,001 entries; 10,000 are the most."),
    ],
)
def test_what_cannot_be_read_is_said_and_nothing_typed_is_lost(
    client: Client, text: str, content: bytes, said: str
) -> None:
    files: dict[str, Any] = {"file": SimpleUploadedFile("list", content)} if content else {}
    answer = pasted(client, text, **files)
    assert answer.status_code == 422
    assert said in answer.text
    assert text.strip() in answer.text


def test_ten_thousand_entries_cost_the_queries_of_ten(client: Client, django_assert_max_num_queries: Any) -> None:
    for text in ("web-0002", "\n".join(f"web-{n:05}" for n in range(10_000))):
        with django_assert_max_num_queries(9):
            answer = pasted(client, text)
    assert answer.context["page"].total == 10_000
    assert len(meanings(answer)) == 100
    assert len(meanings(pasted(client, text, page="2"))) == 100


def test_what_one_may_not_see_is_as_if_it_were_not_there(prod: Account) -> None:
    client = signed_in(person("dev", Role.OPERATOR, environment="dev"))
    assert meanings(pasted(client, "web-0002 web-0006 web-0008")) == [
        ("web-0002", "Nothing fits"),
        ("web-0006", "Nothing fits"),
        ("web-0008", "Found"),
    ]


def test_a_viewer_pastes_nothing(prod: Account) -> None:
    client = signed_in(person("viewer", Role.VIEWER))
    assert client.get("/instances/paste").status_code == 403
    assert pasted(client, "web-0002").status_code == 403


def test_a_pasted_text_is_text_and_never_markup(client: Client) -> None:
    answer = pasted(client, "&lt;b&gt; </textarea><script>alert(1)</script>\x00")
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert" in answer.text
