"""What every page obeys: caching, sign-in, roles in the bar, the theme, fields, and complete tables of looks."""

import re
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import reverse

from fleet.models import Account, ChangeState, Outcome, RegionMirror, ReplacementState, Role
from fleet.web.shared import badges
from fleet.web.shared.forms import Consequences, Form, fault, validated
from tests.support.pages import on_one_line
from tests.support.people import account, change, machine, person, signed_in

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/instances?q=web"}


@pytest.mark.parametrize("name", ["overview", "instances", "images", "audit", "overview-now"])
def test_every_page_asks_for_a_sign_in_and_remembers_where_one_was(name: str) -> None:
    address = reverse(name)
    answer = Client().get(address)
    assert answer.status_code == 302
    assert answer["Location"] == f"/sign-in?next={address}"


def test_an_ended_session_sends_htmx_to_the_sign_in_as_a_whole_page() -> None:
    answer = Client().get("/instances", headers=HTMX)
    assert answer.status_code == 401
    assert answer["HX-Redirect"] == "/sign-in?next=/instances%3Fq%3Dweb"
    assert answer.content == b""


@pytest.mark.parametrize("address", ["/", "/sign-in", "/no-such-page", "/fresh"])
def test_fragments_and_pages_are_never_mixed_up_by_a_cache(address: str) -> None:
    answer = signed_in(person("viewer", Role.VIEWER)).get(address)
    assert "HX-Request" in answer["Vary"]
    assert address == "/sign-in" or answer["Cache-Control"] == "no-store"


def test_every_stylesheet_and_script_of_the_head_is_served() -> None:
    client = Client()
    text = client.get("/sign-in").text
    addresses = re.findall(r'(?:href|src)="(/static/[^"?]+)"', text)
    assert {Path(address).suffix for address in addresses} >= {".css", ".js"}
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200, address
        answer.close()


def test_the_bar_says_where_one_is_and_what_waits() -> None:
    prod, author = account(), person("operator", Role.OPERATOR)
    change(author, [machine(prod, 1)])
    text = signed_in(person("reviewer", Role.APPROVER)).get("/instances").text
    assert re.search(r'href="/instances" aria-current="page">Instances', text)
    assert '1<span class="vh"> waits for you</span>' in text
    assert "waits for you</span>" not in signed_in(author).get("/instances").text


NOTHING_REAL = "no real machine is touched"
EMULATOR_BADGE = r"</svg>Emulator</span>"


def test_with_the_emulator_alone_every_page_says_that_no_real_machine_is_touched() -> None:
    account("demo"), account("second")
    assert NOTHING_REAL in signed_in(person("viewer", Role.VIEWER)).get("/").text


@pytest.mark.parametrize(
    "endpoint", ["", "ecs.cn-hangzhou.aliyuncs.com", "localhost.corp.example:443", "127.evil.example"]
)
def test_a_real_account_is_never_said_to_be_an_emulator(endpoint: str) -> None:
    prod = account("prod")
    Account.objects.filter(pk=prod.pk).update(endpoint=endpoint)
    client = signed_in(person("viewer", Role.VIEWER))
    for page in ("/", reverse("accounts"), reverse("account", args=[prod.pk])):
        answer = client.get(page)
        assert answer.status_code == 200
        assert not re.search(r"emulator", answer.text, re.I), page


def test_beside_a_real_account_the_emulators_is_named_and_nothing_general_is_said() -> None:
    demo, prod = account("demo"), account("prod")
    Account.objects.filter(pk=prod.pk).update(endpoint="")
    client = signed_in(person("viewer", Role.VIEWER))
    for page in ("/", "/instances", reverse("account", args=[prod.pk])):
        text = client.get(page).text
        assert NOTHING_REAL not in text
        assert "demo is the emulator&#x27;s account. Every other account is real." in text
    for shown, badges_wanted in ((demo, 1), (prod, 0)):
        assert len(re.findall(EMULATOR_BADGE, client.get(reverse("account", args=[shown.pk])).text)) == badges_wanted
    assert len(re.findall(r"</svg>emulator</span>", client.get(reverse("accounts")).text)) == 1


def test_several_accounts_of_the_emulator_are_all_named_beside_a_real_one() -> None:
    account("demo"), account("trial")
    Account.objects.filter(pk=account("prod").pk).update(endpoint="")
    text = signed_in(person("viewer", Role.VIEWER)).get("/").text
    assert "demo and trial are the emulator&#x27;s accounts. Every other account is real." in text
    assert NOTHING_REAL not in text


def test_the_age_of_the_mirror_is_that_of_its_oldest_region() -> None:
    account()
    client = signed_in(person("viewer", Role.VIEWER))
    assert re.search(r'data-s="ok".*Mirror 1\d s old', client.get("/fresh").text, re.S)
    RegionMirror.objects.filter(region="cn-shanghai").update(synced_at=None)
    assert re.search(r'data-s="warn".*Mirror not read yet in cn-shanghai', client.get("/fresh").text, re.S)


def test_the_poll_tells_who_was_signed_out_and_loses_no_typing() -> None:
    answer = Client().get("/fresh", headers=HTMX)
    assert answer.status_code == 200
    assert "sign in again" in answer.text
    assert "HX-Redirect" not in answer


def test_the_theme_is_kept_in_a_cookie_and_only_known_ones() -> None:
    client = signed_in(person("viewer", Role.VIEWER))
    answer = client.post("/theme", {"theme": "dark", "next": "/images?q=a"})
    assert answer["Location"] == "/images?q=a"
    assert '<html lang="en" data-theme="dark">' in client.get("/").text
    client.post("/theme", {"theme": "system"})
    assert '<html lang="en">' in client.get("/").text
    client.cookies["theme"] = '"><script>'
    assert '<html lang="en">' in client.get("/").text


def test_the_theme_form_leads_to_no_other_site() -> None:
    answer = Client().post("/theme", {"theme": "dark", "next": "//example.com/"})
    assert answer["Location"] == "/"
    answer = Client().post("/theme", {"theme": "dark"}, headers={"Referer": "https://example.com//evil.example/?a=b"})
    assert answer["Location"] == "/"
    answer = Client().post("/theme", {"theme": "dark"}, headers={"Referer": "http://testserver/audit?q=a"})
    assert answer["Location"] == "/audit?q=a"


def test_the_search_jumps_to_the_one_machine_and_else_to_the_list() -> None:
    prod, client = account(), signed_in(person("viewer", Role.VIEWER))
    one = machine(prod, 7)
    machine(prod, 8, name="twin"), machine(prod, 9, name="twin")
    for asked in (one.instance_id, one.name, f" {one.private_ip} ", one.disk_id):
        assert client.get("/jump", {"q": asked})["Location"] == f"/instances/{one.pk}"
    assert client.get("/jump", {"q": "twin"})["Location"] == "/instances?q=twin"
    assert client.get("/jump", {"q": "a&b"})["Location"] == "/instances?q=a%26b"


def test_the_search_jumps_to_a_change_only_where_one_may_see_it() -> None:
    prod = account()
    made = change(person("operator", Role.OPERATOR), [machine(prod, 1)])
    asked = {"q": f"#{made.pk}"}
    assert signed_in(person("viewer", Role.VIEWER)).get("/jump", asked)["Location"] == reverse("change", args=[made.pk])
    elsewhere = signed_in(person("other", Role.VIEWER, environment="dev"))
    assert elsewhere.get("/jump", asked)["Location"] == f"/instances?q=%23{made.pk}"


@pytest.mark.parametrize(
    ("table", "states"),
    [(badges.CHANGE, ChangeState), (badges.REPLACEMENT, ReplacementState), (badges.OUTCOME, Outcome)],
)
def test_every_state_has_a_badge_with_an_icon_that_exists(table: dict[str, badges.Badge], states: type) -> None:
    sprite = Path(settings.ROOT, "templates/frame/_icons.svg").read_text()
    assert set(table) == set(states.values)  # type: ignore[attr-defined]
    for badge in [*table.values(), *badges.INSTANCE.values()]:
        assert f'id="i-{badge.glyph}"' in sprite
        assert badge.status in {"run", "ok", "warn", "bad", "off"}


@pytest.mark.parametrize(
    ("tag", "states"),
    [("change_badge", ChangeState), ("replacement_badge", ReplacementState), ("outcome_badge", Outcome)],
)
def test_a_badge_says_the_label_of_the_state(tag: str, states: Any) -> None:
    for state in states:
        html = Template(f"{{% {tag} state %}}").render(Context({"state": state.value}))
        assert html.endswith(f"</svg>{state.label}</span>")


class Sample(Form):
    units = {"size": "GiB"}
    size = forms.IntegerField(label="Disk size", required=False, help_text="At least 20.")
    password = forms.CharField(label="Password", widget=forms.PasswordInput)
    login = forms.ChoiceField(
        label="Login",
        choices=[("key", "Key pair"), ("password", "Password")],
        widget=Consequences(notes={"key": "Disables the password"}, blocked={"password": "Not over plain HTTP"}),
    )

    def clean_password(self) -> str:
        raise fault("Too short: 3 of at least 8 characters.", "Add five.", code="InvalidPassword.Malformed")


def test_a_field_has_a_label_a_unit_and_a_permanent_feedback() -> None:
    html = on_one_line(Sample(validate_url="/v/")["size"].as_field_group())
    assert '<label for="id_size">Disk size<span class="vh"> in GiB</span>' in html
    assert 'id="id_size_feedback" aria-live="polite" data-for="id_size">' in html
    assert 'aria-describedby="id_size_feedback"' in html
    assert 'hx-post="/v/size/"' in html
    assert 'hx-target="#id_size_feedback"' in html
    assert "At least 20." in html


def test_feedback_says_the_fact_then_what_to_do_then_the_code() -> None:
    form = Sample({"size": "400", "password": "abc", "login": "key"})
    assert not form.is_valid()
    html = on_one_line(form["password"].as_field_group())
    assert '<span class="said">Too short: 3 of at least 8 characters.</span> Add five.' in html
    assert "<code>InvalidPassword.Malformed</code>" in html
    assert 'aria-invalid="true"' in html
    assert "abc" not in html
    form.say("size", "warn", "More than most.", "Most keep 60.")
    assert 'data-s="warn"' in form["size"].as_field_group()
    assert "aria-invalid" not in form["size"].as_field_group()


def test_choices_say_what_follows_and_why_one_is_off() -> None:
    html = Sample()["login"].as_field_group()
    assert "<small>Disables the password</small>" in html
    assert re.search(r'value="password"[^>]*disabled', html)
    assert "<small>Not over plain HTTP</small>" in html


def test_live_validation_answers_one_field_and_knows_no_other(rf: RequestFactory) -> None:
    request = rf.post("/v/password/")
    answer = validated(request, Sample({"size": "x", "password": "abc"}), "password")
    assert "Too short" in answer.text
    assert "whole number" not in answer.text
    with pytest.raises(Exception, match=r"^$"):
        validated(request, Sample({}), "no_such_field")


def test_the_summary_leads_to_the_fields() -> None:
    form = Sample({"size": "400", "password": "abc"})
    form.is_valid()
    form.add_error(None, ValidationError("The change moved on."))
    html = Template('{% include "shared/_summary.html" %}').render(Context({"form": form}))
    assert 'role="alert" tabindex="-1" autofocus' in html
    assert '<a href="#id_password">Password</a>' in html
    assert '<a href="#id_login_0">Login</a>' in html
    assert "The change moved on." in html
