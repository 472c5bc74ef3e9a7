"""The draft on its page: live validation, images, saving, leaving out, and who may see it."""

import re

import pytest
from django.test import Client

from fleet.changes.drafting import drafts
from fleet.lib.clock import DatabaseClock
from fleet.models import AuditEvent, Change, ChangeState, Image, Role
from tests.support import fleets
from tests.support.emulator import Emulator
from tests.support.people import account, image, machine, person, signed_in
from tests.web.change.drafts import GOOD, HTMX, drafted, live, typed, url

pytestmark = pytest.mark.django_db


# --- From the list of machines.


def test_an_empty_selection_is_422_and_never_means_all(operator: Client) -> None:
    answer = operator.post(url("draft-new"), {"instance": ["", "x"]})
    assert answer.status_code == 422
    assert "No machine is selected" in answer.text
    assert not Change.objects.exists()


def test_a_draft_by_somebody_who_is_no_operator_is_403_and_on_the_trail(fleet: Emulator) -> None:
    answer = signed_in(fleets.person("reviewer")).post(url("draft-new"), {"instance": [fleets.plain(1)[0].pk]})
    assert answer.status_code == 403
    assert "You are no operator for all of these machines" in answer.text
    assert AuditEvent.objects.get(action="person.refused").actor_name == "reviewer"


# --- Live, unsaved.


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("disk_size", "forty", "The size is not a whole number."),
        ("disk_size", "30", "have a larger disk now (40 GiB), and a system disk cannot shrink."),
        ("disk_size", "501", "501 GiB is above the largest size, 500 GiB"),
        ("max_in_flight", "0", "Too few: enter 1 or more."),
        ("max_in_flight", "many", "This is no whole number."),
        ("failures_allowed", "-1", "Too few: enter 0 or more."),
        ("title", " ", "There is no title yet."),
        ("key_pair", "nobody", "This key pair is in none of the regions."),
        ("key_pair", "", "No key pair is chosen."),
        ("password", "abc", "The password has 3 characters; it needs 8 to 30."),
    ],
)
def test_each_field_is_judged_on_its_own_as_it_is_typed(
    operator: Client, draft: Change, ubuntu: Image, field: str, value: str, said: str
) -> None:
    form = typed(ubuntu, **{field: value})
    answer = live(operator, draft, field, form)
    assert answer.status_code == 200
    assert said in answer.text.replace("&#x27;", "'")
    assert 'class="error"' in answer.text
    assert "<input" not in answer.text
    other = "reason" if field != "reason" else "title"
    assert 'class="error"' not in live(operator, draft, other, form).text
    draft.refresh_from_db()
    assert draft.image_id == ""


def test_the_codes_of_the_api_stand_beside_the_words(operator: Client, draft: Change, ubuntu: Image) -> None:
    answer = live(operator, draft, "disk_size", typed(ubuntu, disk_size="30"))
    assert "<code>InvalidSystemDiskSize.ValueNotSupported</code>" in answer.text
    answer = live(operator, draft, "password", typed(ubuntu, password="abcdefgh"))
    assert "<code>InvalidPassword.Malformed</code>" in answer.text
    assert "abcdefgh" not in answer.text


def test_a_field_is_judged_although_another_one_would_be_refused_first(
    operator: Client, draft: Change, ubuntu: Image
) -> None:
    answer = live(operator, draft, "disk_size", typed(ubuntu, key_pair="", disk_size="30"))
    assert "a system disk cannot shrink" in answer.text


def test_an_unknown_field_is_404(operator: Client, draft: Change, ubuntu: Image) -> None:
    assert live(operator, draft, "owner", typed(ubuntu)).status_code == 404


def test_what_follows_is_judged_from_the_form_and_not_from_what_is_saved(
    operator: Client, draft: Change, ubuntu: Image
) -> None:
    good = operator.post(url("draft-follows", draft.pk), typed(ubuntu), headers=HTMX).text
    assert "of 3 lost before it stops by itself, at failure 2" in re.sub(r"<[^>]+>", "", good)
    assert "40 → 60 GiB" in good
    assert "<html" not in good
    bad = operator.post(url("draft-follows", draft.pk), typed(ubuntu, disk_size="30"), headers=HTMX).text
    assert "The disk would shrink" in bad
    assert "Refused while 3 machines are blocked" in bad
    draft.refresh_from_db()
    assert draft.image_id == ""


def test_a_key_pair_on_windows_is_a_warning_and_the_password_still_counts(operator: Client, fleet: Emulator) -> None:
    draft = drafted(fleets.plain(1))
    windows = fleets.image_named("Windows Server 2022")
    form = typed(windows, password=GOOD)
    answer = live(operator, draft, "key_pair", form)
    assert "Windows ignores key pairs" in answer.text
    assert 'data-s="warn"' in answer.text
    assert 'class="error"' not in answer.text
    follows = operator.post(url("draft-follows", draft.pk), form, headers=HTMX).text
    assert "the password on 1 with Windows" in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", follows))
    assert operator.post(url("draft-submit", draft.pk), form).status_code == 302


# --- Images.


def test_only_images_of_the_machines_regions_are_offered_most_useful_first(operator: Client, draft: Change) -> None:
    elsewhere = Image.objects.filter(region="cn-shanghai").exclude(
        image_id__in=Image.objects.filter(region="cn-hangzhou").values("image_id")
    )
    assert elsewhere.exists()
    page = operator.get(url("draft-images", draft.pk), {"q": elsewhere[0].image_id}, headers=HTMX).text
    assert "No image of these regions matches" in page
    first = operator.get(url("draft-images", draft.pk), headers=HTMX).text
    assert "past end of life" not in first
    assert "fits all 3" in first
    arm = operator.get(url("draft-images", draft.pk), {"q": "arm64"}, headers=HTMX).text
    assert "fits none" in arm


def test_a_search_keeps_the_chosen_image(operator: Client, draft: Change, ubuntu: Image) -> None:
    asked = {"q": "CentOS", "image_id": ubuntu.image_id}
    page = operator.get(url("draft-images", draft.pk), asked, headers=HTMX).text
    assert re.search(rf'value="{re.escape(ubuntu.image_id)}" checked', page)
    assert "CentOS" in page


# --- Saving and leaving out.


def test_a_draft_may_be_saved_half_filled(operator: Client, draft: Change, ubuntu: Image) -> None:
    assert operator.post(url("draft", draft.pk), typed(ubuntu, title="", reason="")).status_code == 302
    draft.refresh_from_db()
    assert (draft.image_id, draft.disk_size, draft.title) == (ubuntu.image_id, 60, "")
    assert (draft.policy["max_in_flight"], draft.policy["failures_allowed"]) == (2, 1)


def test_where_one_field_does_not_fit_nothing_is_saved_and_everything_stays_on_the_page(
    operator: Client, draft: Change, ubuntu: Image
) -> None:
    answer = operator.post(url("draft", draft.pk), typed(ubuntu, disk_size="forty", title="Kept", password=GOOD))
    assert answer.status_code == 422
    assert 'value="forty"' in answer.text
    assert 'value="Kept"' in answer.text
    assert "It was not kept, since something else does not fit." in answer.text
    assert GOOD not in answer.text
    draft.refresh_from_db()
    assert (draft.title, draft.disk_size, draft.secret) == ("", None, None)


def test_a_field_that_was_not_sent_stays_as_it_was_saved(operator: Client, draft: Change, ubuntu: Image) -> None:
    saved = typed(ubuntu, ticket="https://tickets.example.com/CHG-7", canary="2", hold="person", skips_allowed="3")
    assert operator.post(url("draft", draft.pk), saved).status_code == 302
    assert operator.post(url("draft", draft.pk), {"title": "Only this"}).status_code == 302
    draft.refresh_from_db()
    assert (draft.title, draft.image_id, draft.ticket) == ("Only this", ubuntu.image_id, saved["ticket"])
    assert (draft.policy["canary"], draft.policy["hold"], draft.policy["skips_allowed"]) == (2, "person", 3)
    assert operator.post(url("draft", draft.pk), {"canary": "", "skips_allowed": ""}).status_code == 302
    draft.refresh_from_db()
    assert (draft.policy["canary"], draft.policy["skips_allowed"]) == (0, None)


def test_a_whole_reason_is_left_out_with_its_code(operator: Client, fleet: Emulator, ubuntu: Image) -> None:
    large = fleets.plain(1, disk_size=60)
    draft = drafted(fleets.plain(2) + large)
    form = typed(ubuntu, disk_size="40")
    page = operator.post(url("draft-follows", draft.pk), form, headers=HTMX).text
    code = re.findall(r'name="code" value="([^"]+)"', page)
    assert len(code) == 1
    assert operator.post(url("draft-leave-out", draft.pk), form | {"code": code[0]}).status_code == 302
    assert draft.targets.count() == 2
    gone = draft.left_out.get()
    assert (gone.instance_id, gone.code) == (large[0].pk, "InvalidSystemDiskSize.ValueNotSupported")
    draft.refresh_from_db()
    assert draft.disk_size == 40


def test_one_machine_is_left_out_by_hand_but_never_all(operator: Client, draft: Change, ubuntu: Image) -> None:
    targets = list(draft.targets.values_list("pk", flat=True))
    assert (
        operator.post(url("draft-leave-out", draft.pk), typed(ubuntu) | {"target": str(targets[0])}).status_code == 302
    )
    assert draft.left_out.get().code == "by_hand"
    answer = operator.post(
        url("draft-leave-out", draft.pk), typed(ubuntu) | {"target": [str(pk) for pk in targets[1:]]}
    )
    assert answer.status_code == 422
    assert "No machine would be left" in answer.text
    assert draft.targets.count() == 2


@pytest.mark.parametrize("gone", [{"target": "999999"}, {"code": "IncorrectInstanceStatus"}])
def test_leaving_out_what_is_no_longer_there_is_409_and_takes_nothing(
    operator: Client, draft: Change, ubuntu: Image, gone: dict[str, str]
) -> None:
    answer = operator.post(url("draft-leave-out", draft.pk), typed(ubuntu) | gone)
    assert answer.status_code == 409
    assert "No machine of the draft is meant by this any more" in answer.text
    assert draft.targets.count() == 3


def test_a_discarded_draft_is_cancelled_and_says_so(operator: Client, draft: Change) -> None:
    assert operator.post(url("draft-discard", draft.pk)).status_code == 302
    draft.refresh_from_db()
    assert draft.state == ChangeState.CANCELLED
    assert operator.get(url("change", draft.pk)).status_code == 200


# --- Who may.


def test_who_may_look_but_not_edit_sees_the_draft_and_is_refused(draft: Change, ubuntu: Image) -> None:
    reviewer = signed_in(fleets.person("reviewer"))
    assert reviewer.get(url("draft", draft.pk))["Location"] == url("change", draft.pk)
    page = reviewer.get(url("change", draft.pk))
    assert "operator is still working on it" in page.text
    answer = reviewer.post(url("draft", draft.pk), typed(ubuntu))
    assert answer.status_code == 403
    draft.refresh_from_db()
    assert draft.image_id == ""
    assert AuditEvent.objects.filter(action="person.refused", actor_name="reviewer").count() == 1


def test_a_draft_of_machines_that_one_may_not_see_is_404(draft: Change) -> None:
    stranger = signed_in(person("stranger", Role.OPERATOR, environment="nowhere"))
    for name in ("draft", "change", "draft-images"):
        assert stranger.get(url(name, draft.pk)).status_code == 404
    for name in ("draft-submit", "draft-machines"):
        assert stranger.post(url(name, draft.pk)).status_code == 404


def test_a_page_of_many_machines_lists_blocked_ones_first() -> None:
    prod, author = account(), person("operator", Role.OPERATOR)
    prod.guard_lifted = True
    prod.save()
    image(prod)
    few = [machine(prod, number, architecture="x86_64") for number in range(60)]
    few += [machine(prod, 99, architecture="arm64", name="zz-arm")]
    draft = drafts.create_draft(actor=author, instance_pks=[m.pk for m in few], now=DatabaseClock().now())
    Change.objects.filter(pk=draft.pk).update(image_id="ubuntu_24_04_x64", login="image")
    page = signed_in(author).post(url("draft-machines", draft.pk), headers=HTMX).text
    assert page.count("<tr>") == 51
    assert page.index("zz-arm") < page.index("web-0000")
    assert "1–50 of 61" in page


def test_the_list_of_machines_is_judged_from_the_form_and_not_from_what_is_saved(
    operator: Client, draft: Change, ubuntu: Image
) -> None:
    address, form = url("draft-machines", draft.pk), typed(ubuntu, disk_size="20", list="1")
    listed = operator.post(address, form, headers=HTMX)
    assert listed.text.count("20 GiB is below") + listed.text.count("The disk would shrink") == 3
    assert 'data-s="bad"' not in operator.post(address, form | {"disk_size": "80"}, headers=HTMX).text
    draft.refresh_from_db()
    assert draft.image_id == ""
    # With the password of the form it is never asked for by an address; without a script the page's own list is shown.
    assert operator.get(address, headers=HTMX).status_code == 405
    assert operator.post(address, {"list": "2"})["Location"] == f"{url('draft', draft.pk)}?list=2#machines"
