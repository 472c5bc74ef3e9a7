"""A change as a file: its lines are what is hashed, and a file makes the same draft again, or says each of its faults."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.changes.digests import leaf_digest, spec, spec_digest
from fleet.changes.drafting import change_file
from fleet.guards.policy import Policy, PolicyStep
from fleet.lib.canonical import canonical_json
from fleet.lib.clock import DatabaseClock
from fleet.lib.refused import Refused
from fleet.models import AuditEvent, Calendar, Change, Instance, Role, SealedSecret, Target, User, Webhook
from tests.support.people import account, change, machine, person, signed_in
from tests.support.torture import rounds

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> User:
    return person("operator", Role.OPERATOR)


@pytest.fixture
def machines() -> list[Instance]:
    prod = account()
    return [machine(prod, 1), machine(prod, 2, region="cn-shanghai"), machine(prod, 3)]


@pytest.fixture
def original(operator: User, machines: list[Instance]) -> Change:
    now = DatabaseClock().now()
    hook = Webhook.objects.create(
        name="drain",
        url="https://drain.example/",
        purpose="step",
        secret=SealedSecret.objects.create(kind="webhook", fingerprint="f"),
    )
    made = change(
        operator,
        machines,
        state="draft",
        title="Größe & <b>",
        reason="why",
        ticket="https://tickets.example/1",
        rollback_plan="back",
        image_id="m-1",
        images={f"{machines[0].account_id}/{region}": image for region, image in REGIONS.items()},
        disk_size=80,
        login="password",
        key_pair="ops",
        secret=SealedSecret.objects.create(kind="password", sealed="gAAAA-the-sealed-text", fingerprint="f00d"),
        security_enhancement=True,
        snapshot_days=7,
        policy=Policy(
            canary=1,
            hold="timed",
            hold_minutes=5,
            growth="ramp",
            skips_allowed=3,
            before=PolicyStep("command", "systemctl stop web"),
            after=PolicyStep("webhook", webhook=hook.pk),
        ).as_json(),
        calendar=Calendar.objects.create(name="nights", open_by_default=False),
        not_before=now + timedelta(days=1),
    )
    Target.objects.filter(change=made).update(seen={"disk_id": "d-1", "size": 40})
    return made


REGIONS = {"cn-hangzhou": ["m-1", "same"], "cn-shanghai": ["m-2", "chosen"]}


def text_of(one: Change) -> str:
    return "".join(change_file.lines(one))


def upload(actor: User, text: str | bytes) -> Change:
    content = text if isinstance(text, bytes) else text.encode()
    return change_file.upload(actor=actor, content=content, now=DatabaseClock().now())


def comparable(one: Change) -> dict[str, Any]:
    """Return the spec without what is the change's own: its number and its sealed password."""
    found = spec(one)
    return {**found, "change": None, "settings": {**found["settings"], "secret": None}}


def test_each_line_is_what_its_digest_is_of(original: Change) -> None:
    first, *leaves, about = text_of(original).splitlines()
    assert hashlib.sha256(first.encode()).hexdigest() == spec_digest(original)
    targets = original.targets.order_by("position").select_related("instance")
    assert [hashlib.sha256(line.encode()).hexdigest() for line in leaves] == [leaf_digest(one) for one in targets]
    assert json.loads(about)["about"]["title"] == "Größe & <b>"


def test_downloaded_and_uploaded_it_is_the_same_spec(operator: User, original: Change) -> None:
    made = upload(operator, text_of(original))
    assert comparable(made) == comparable(original)
    assert made.images == original.images
    assert [getattr(made, name) for name in change_file.ABOUT] == [
        getattr(original, name) for name in change_file.ABOUT
    ]
    assert set(made.targets.values_list("instance_id", flat=True)) == set(
        original.targets.values_list("instance_id", flat=True)
    )
    assert (made.state, made.secret, made.left_out.count()) == ("draft", None, 0)
    again = upload(operator, text_of(made))
    assert comparable(again) == comparable(original)
    event = AuditEvent.objects.latest("number")
    assert (event.action, event.data["spec"]) == ("change.uploaded", spec_digest(made))


def test_a_password_is_in_no_file(operator: User, original: Change) -> None:
    assert "gAAAA-the-sealed-text" not in text_of(original)
    assert "f00d" in text_of(original)


def test_what_is_unknown_or_gone_is_left_out_and_listed(
    operator: User, machines: list[Instance], original: Change
) -> None:
    text = text_of(original).replace(machines[0].instance_id, "i-elsewhere")
    Instance.objects.filter(pk=machines[1].pk).update(gone_at=DatabaseClock().now())
    made = upload(operator, text)
    assert list(made.targets.values_list("instance_id", flat=True)) == [machines[2].pk]
    assert set(made.left_out.values_list("named", "code", "instance_id")) == {
        ("i-elsewhere", "unknown", None),
        ("", "gone", machines[1].pk),
    }
    assert list(made.images) == [f"{machines[0].account_id}/cn-hangzhou"]


def test_a_machine_of_another_account_makes_the_whole_file_forbidden(original: Change) -> None:
    elsewhere = person("elsewhere", Role.OPERATOR, account=account("other"))
    with pytest.raises(Refused, match="You are no operator in account prod") as refused:
        upload(elsewhere, text_of(original))
    assert refused.value.kind == "forbidden"
    assert Change.objects.count() == 1


STEP = {"kind": "command", "text": "true", "webhook": None, "timeout": 60}


def edited(part: str, name: str, value: Any) -> Callable[[list[Any]], None]:
    return lambda rows: rows[0][part].__setitem__(name, value)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda rows: rows[0].__setitem__("format", 2), "The first line is not of format 1."),
        (lambda rows: rows[0].pop("policy"), "The first line has no policy."),
        (lambda rows: rows[0]["settings"].pop("login"), "settings: login is missing."),
        (edited("settings", "password", "x"), "settings: password is not known."),
        (edited("settings", "login", "root"), "settings: login is to be one of key_pair, password, image."),
        (edited("settings", "login", []), "settings: login is to be one of"),
        (edited("settings", "disk_size", True), "settings: disk_size is to be a whole number"),
        (edited("settings", "disk_size", "80"), "settings: disk_size is to be a whole number"),
        (edited("settings", "image_id", "m-\0"), "settings: image_id is to be a text"),
        (edited("settings", "image_id", "\ud800"), "settings: image_id is to be a text"),
        (edited("settings", "images", {"x": "m-1"}), "settings: images is to be an object of account/region"),
        (edited("policy", "max_in_flight", 0), "policy: max_in_flight is to be a whole number from 1 to 10,000."),
        (edited("policy", "canary", 10_001), "policy: canary is to be a whole number from 0 to 10,000."),
        (edited("policy", "hold_minutes", 10_081), "policy: hold_minutes is to be a whole number from 0 to 10,080."),
        (edited("policy", "force_stop_minutes", 1441), "policy: force_stop_minutes is to be a whole number from 0 to"),
        (
            edited("policy", "before", STEP | {"timeout": 9}),
            "policy: before timeout is to be a whole number from 10 to",
        ),
        (
            edited("policy", "before", STEP | {"text": "x" * 8001}),
            "policy: before text is to be a text of at most 8,000",
        ),
        (edited("policy", "hold", "timed"), "policy: The hold has no length."),
        (edited("policy", "before", {"kind": "command"}), "policy: before a step has exactly"),
        (edited("window", "not_after", "tomorrow"), "window: not_after is to be a time such as"),
        (edited("window", "not_after", "0001-01-01T00:00+14:00"), "window: not_after is to be a time such as"),
        (edited("window", "calendar", 10**6), "window: the calendar is not in use here."),
        (
            lambda rows: rows[-1]["about"].__setitem__("ticket", "javascript:alert(1)"),
            "about: ticket is to be an address",
        ),
        (lambda rows: rows[1].__setitem__("instance_id", 5), "Line 2: instance_id is to be a text"),
        (lambda rows: rows.__setitem__(1, []), "Line 2: a machine has exactly"),
        (lambda rows: rows.insert(1, rows[1]), "The file names a machine twice."),
        (lambda rows: rows.__delitem__(slice(1, -1)), "The file names no machine."),
    ],
)
def test_each_fault_has_its_sentence_and_no_draft_is_made(
    operator: User, original: Change, edit: Callable[[list[Any]], None], said: str
) -> None:
    original.policy["hold_minutes"] = 0
    original.policy["hold"] = "none"
    rows = [json.loads(line) for line in text_of(original).splitlines()]
    edit(rows)
    text = "\n".join(json.dumps(row) for row in rows)
    with pytest.raises(change_file.Unfit) as refused:
        upload(operator, text)
    assert any(said in fault for fault in refused.value.faults), refused.value.faults
    assert Change.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty."),
        (b"\xff\xfe\x00", "no JSON"),
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"1.5", "no JSON"),
        (b"NaN", "no JSON"),
        (b"9" * 5000, "no JSON"),
        (b"[]", "The file is empty."),
        (b"{}", "The first line is not of format 1."),
    ],
)
def test_what_is_no_file_of_ours_is_said(operator: User, content: bytes, said: str) -> None:
    with pytest.raises(change_file.Unfit) as refused:
        upload(operator, content)
    assert any(said in fault for fault in refused.value.faults), refused.value.faults


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@given(data=st.data())
@settings(max_examples=rounds(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_in_any_place_is_refused_or_makes_the_draft_that_it_says(
    operator: User, original: Change, data: st.DataObject
) -> None:
    rows = [json.loads(line) for line in text_of(original).splitlines()]
    row = data.draw(st.sampled_from(rows))
    inner = [value for value in row.values() if isinstance(value, dict) and value]
    place = data.draw(st.sampled_from([row, *inner]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
    try:
        made = upload(operator, "\n".join(canonical_json(row) for row in rows).encode("utf-8", "surrogatepass"))
    except Refused:
        return
    said, got = rows[0], json.loads(change_file.spec_text(Change.objects.select_related("secret").get(pk=made.pk)))
    for part in ("policy", "settings", "window"):
        said[part].pop("secret", None)
        got[part].pop("secret", None)
        said[part].pop("images", None)
        got[part].pop("images", None)
    said["window"]["not_before"] = got["window"]["not_before"]
    assert (got["policy"], got["settings"], got["window"]) == (said["policy"], said["settings"], said["window"])


def test_the_pages_download_and_upload(operator: User, original: Change) -> None:
    client = signed_in(operator)
    part = client.get(f"/changes/{original.pk}/file?part=spec")
    assert hashlib.sha256(part.content).hexdigest() == spec_digest(original)
    whole = client.get(f"/changes/{original.pk}/file")
    content = b"".join(whole.streaming_content)  # type: ignore[attr-defined]
    assert content.decode() == text_of(original)
    assert whole["Content-Disposition"] == f'attachment; filename="change-{original.pk}-revision-1.jsonl"'
    assert AuditEvent.objects.latest("number").action == "change.downloaded"
    answer = client.post("/changes/upload", {"file": SimpleUploadedFile("change.jsonl", content)})
    made = Change.objects.latest("pk")
    assert (answer.status_code, answer["Location"]) == (302, f"/changes/{made.pk}/edit")
    broken = client.post("/changes/upload", {"file": SimpleUploadedFile("x", b"{}")})
    assert broken.status_code == 422
    assert "The first line is not of format 1." in broken.text
    assert client.post("/changes/upload").status_code == 422
    assert "Upload a change" in client.get("/changes/upload").text


def test_who_may_not_see_every_machine_or_draft_nothing_is_refused(machines: list[Instance], original: Change) -> None:
    Instance.objects.filter(pk=machines[0].pk).update(environment="dev")
    partly = signed_in(person("partly", Role.OPERATOR, environment="prod"))
    assert partly.get(f"/changes/{original.pk}/file").status_code == 403
    viewer = signed_in(person("viewer", Role.VIEWER))
    assert viewer.get("/changes/upload").status_code == 403
    assert viewer.post("/changes/upload").status_code == 403
    assert signed_in(person("nobody")).get(f"/changes/{original.pk}/file").status_code == 404
