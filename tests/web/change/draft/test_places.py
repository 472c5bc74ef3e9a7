"""One image in many regions on the page of a draft, what was left out, and a number of queries that does not grow."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.changes.drafting import drafts
from fleet.lib.clock import DatabaseClock
from fleet.models import Change, Instance, KeyPair, LeftOut, Role, Target, User
from tests.support.people import account, image, machine, person, signed_in
from tests.web.change.drafts import HTMX, url

pytestmark = pytest.mark.django_db
SHARED = {"name": "golden-web", "owner": "self", "os_name": "Ubuntu 24.04 64 bit"}


class Two:
    """An account with machines in two regions, and one image that each region knows by another id."""

    def __init__(self) -> None:
        self.account, self.author = account(), person("operator", Role.OPERATOR)
        self.account.guard_lifted = True
        self.account.save()
        places = ("cn-hangzhou", "cn-hangzhou", "cn-hangzhou", "cn-shanghai", "cn-shanghai")
        self.machines = [
            machine(self.account, n, region=region, architecture="x86_64") for n, region in enumerate(places)
        ]
        image(self.account, "m-golden-hz", **SHARED)
        self.client = signed_in(self.author)
        self.draft = drafts.create_draft(
            actor=self.author, instance_pks=[one.pk for one in self.machines], now=DatabaseClock().now()
        )

    def form(self, **other: str) -> dict[str, str]:
        numbers = {"max_in_flight": "2", "failures_allowed": "0"}
        return numbers | {"image_id": "m-golden-hz", "login": "image", "title": "T", "reason": "R"} | other

    def post(self, name: str, form: dict[str, str], *args: Any) -> Any:
        return self.client.post(url(name, self.draft.pk, *args), form, headers=HTMX)


@pytest.fixture
def two() -> Two:
    return Two()


def test_a_copy_in_another_region_is_found_by_itself_and_shown(two: Two) -> None:
    image(two.account, "m-golden-sh", region="cn-shanghai", **SHARED)
    page = two.client.get(url("draft-images", two.draft.pk), headers=HTMX).text
    assert page.count('type="radio"') == 1  # the copy is no other choice
    assert "fits all 5" in page
    table = two.post("draft-validate", two.form(), "image_id").text
    assert 'id="places" hx-swap-oob="true"' in table
    assert re.search(r"m-golden-sh</code>\s*<span[^>]*>its copy", table)
    two.post("draft", two.form())
    two.draft.refresh_from_db()
    place = two.account.pk
    assert two.draft.images == {
        f"{place}/cn-hangzhou": ["m-golden-hz", "same"],
        f"{place}/cn-shanghai": ["m-golden-sh", "copied"],
    }


def test_a_place_without_an_equal_is_blocked_until_a_person_chooses_there(two: Two) -> None:
    image(two.account, "m-other-sh", region="cn-shanghai", **(SHARED | {"name": "golden-web-2"}))
    name = f"image_in_{two.account.pk}_cn-shanghai"
    table = two.post("draft-validate", two.form(), "image_id").text
    assert f'name="{name}"' in table
    assert "none yet" in table
    assert '<option value="m-other-sh">' in table
    chosen = two.form(placed_image="m-golden-hz") | {name: "m-other-sh"}
    assert "2 machines are blocked" in re.sub(r"<[^>]+>", "", two.post("draft-submit", two.form()).text)
    assert two.post("draft-submit", chosen).status_code == 204
    two.draft.refresh_from_db()
    assert two.draft.images[f"{two.account.pk}/cn-shanghai"] == ["m-other-sh", "chosen"]


def test_what_was_chosen_by_hand_belongs_to_the_image_that_it_was_chosen_for(two: Two) -> None:
    image(two.account, "m-other-sh", region="cn-shanghai", **(SHARED | {"name": "golden-web-2"}))
    image(two.account, "m-third-hz")
    name = f"image_in_{two.account.pk}_cn-shanghai"
    two.post("draft", two.form(placed_image="m-golden-hz") | {name: "m-other-sh"})
    two.post("draft", two.form(image_id="m-third-hz", placed_image="m-golden-hz") | {name: "m-other-sh"})
    two.draft.refresh_from_db()
    assert two.draft.images == {f"{two.account.pk}/cn-hangzhou": ["m-third-hz", "same"]}


def test_those_that_have_the_image_already_are_left_out_by_one_press(two: Two) -> None:
    image(two.account, "m-golden-sh", region="cn-shanghai", **SHARED)
    Instance.objects.filter(pk__in=[one.pk for one in two.machines[:2]]).update(image_id="m-golden-hz")
    page = two.post("draft-follows", two.form()).text
    ref = re.search(r'name="code" value="(same_image [^"]+)">Leave out 2<', page)
    assert ref
    assert two.post("draft-leave-out", two.form(code=ref[1])).status_code == 204
    gone = two.draft.left_out.order_by("instance")
    assert [(one.code, one.instance_id) for one in gone] == [("same_image", one.pk) for one in two.machines[:2]]


def test_all_blocked_ones_are_left_out_by_one_press_each_with_its_own_reason(two: Two) -> None:
    image(two.account, "m-golden-sh", region="cn-shanghai", **SHARED)
    Instance.objects.filter(pk=two.machines[0].pk).update(locks=["security"])
    Instance.objects.filter(pk=two.machines[3].pk).update(status="Pending")
    page = two.post("draft-follows", two.form()).text
    assert "Leave out all 2" in page
    assert two.post("draft-leave-out", two.form(code="blocked")).status_code == 204
    assert two.draft.targets.count() == 3
    assert two.draft.left_out.values("code").distinct().count() == 2


def test_what_was_left_out_is_listed_with_their_reasons_also_those_that_are_only_a_name(two: Two) -> None:
    now = DatabaseClock().now()
    spare = machine(two.account, 70, name="web-spare")
    LeftOut.objects.create(change=two.draft, instance=spare, code="locked", reason="Locked by admin", at=now)
    LeftOut.objects.create(change=two.draft, named="10.9.9.9", code="gone", reason="No machine has it", at=now)
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", two.client.get(url("draft", two.draft.pk)).text))
    for words in ("2 left out", "Locked by admin web-spare", "No machine has it 10.9.9.9"):
        assert words in page


def many(author: User, of: Any, number: int) -> Change:
    first = machine(of, 10_000 + number, architecture="x86_64")
    rows = [Instance(**_values(first, n)) for n in range(number - 1)]
    made = Instance.objects.bulk_create(rows)
    draft = Change.objects.create(
        author=author, image_id="m-golden-hz", login="key_pair", key_pair="ops", policy={}, title="T", reason="R",
        created_at=DatabaseClock().now(), edited_at=DatabaseClock().now(),
    )  # fmt: skip
    Target.objects.bulk_create(
        Target(change=draft, instance=one, position=place) for place, one in enumerate([first, *made])
    )
    return draft


def _values(first: Instance, number: int) -> dict[str, Any]:
    values = {one.attname: getattr(first, one.attname) for one in Instance._meta.fields if not one.primary_key}
    name = f"m-{first.pk}-{number}"
    return values | {"name": name, "instance_id": f"i-{name}", "disk_size": 40 + 20 * (number % 7)}


@pytest.mark.parametrize("number", [10, 10_000])
def test_the_page_has_at_most_twelve_queries_with_ten_and_with_ten_thousand_machines(two: Two, number: int) -> None:
    KeyPair.objects.create(account=two.account, region="cn-hangzhou", name="ops", seen_at=DatabaseClock().now())
    draft = many(two.author, two.account, number)
    with CaptureQueriesContext(connection) as queries:
        answer = two.client.get(url("draft", draft.pk))
    assert answer.status_code == 200
    assert f"{number:,} machines, frozen" in answer.text
    asked = [query["sql"][:90] for query in queries]
    assert len(asked) <= 12, "\n".join(asked)
    with CaptureQueriesContext(connection) as queries:
        live = two.client.post(url("draft-follows", draft.pk), two.form(login="key_pair", key_pair="ops"), headers=HTMX)
    assert live.status_code == 200
    assert len(queries) <= 12
