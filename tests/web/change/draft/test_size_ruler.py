"""The ruler of a draft: which sizes all machines allow, and what is said where there is none."""

import pytest

from fleet.changes.judging.judgement import judge_draft
from fleet.changes.judging.machine import disk_request_of
from fleet.lib.clock import DatabaseClock
from fleet.models import Account, Role
from fleet.web.change.draft.size_ruler import NONE_SUITS, disks
from tests.support.people import account, change, image, machine, person, signed_in
from tests.web.change.drafts import url

pytestmark = pytest.mark.django_db


def test_where_no_size_suits_all_of_them_none_is_proposed() -> None:
    prod = account()
    Account.objects.update(edition="2026")
    image(prod)
    author = person("operator", Role.OPERATOR)
    small = machine(prod, 1, disk_category="cloud", disk_size=40)
    large = machine(prod, 2, disk_category="cloud_essd", disk_performance_level="PL3", disk_size=1300)
    draft = change(author, [small, large], state="draft", image_id="ubuntu_24_04_x64", disk_size=100, login="image")
    disk_request = disk_request_of(draft)
    drawn = disks(judge_draft(change=draft, disk_request=disk_request, now=DatabaseClock().now()), disk_request)
    assert not drawn.any_allowed
    assert drawn.allowed == NONE_SUITS
    assert drawn.words.endswith(NONE_SUITS)

    page = signed_in(author).get(url("draft", draft.pk)).text
    assert NONE_SUITS in page
    assert "Green: what all of them allow" not in page
    assert "GiB for all" not in page
    assert "Let every disk keep its size" in page

    draft.targets.filter(instance=small).delete()
    page = signed_in(author).get(url("draft", draft.pk)).text
    assert "Green: what all of them allow, 1,300 to" in page
    assert "Use 1,300 GiB for all" in page
