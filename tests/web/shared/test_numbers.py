"""Numbers out of a request: a plain number is taken, and whatever else was sent is no number and no error."""

import pytest

from fleet.inventory.queries import OneOf
from fleet.models import Instance
from fleet.web.shared.numbers import LARGEST_ID, LARGEST_NUMBER, id_of, ids_of, number_of

NO_NUMBERS = [
    "",
    " ",
    "-1",
    "+1",
    "1.0",
    "1e3",
    "1_000",
    "1,000",
    " 7",
    "7\n",
    "0x1f",
    "٣",
    "²",
    "\0",
    "None",
    "9" * 20,
]
TOO_LARGE = [str(LARGEST_ID + 1), "9" * 19, "9" * 5000]


@pytest.mark.parametrize("text", ["1", "7", "007", "1234567890", str(LARGEST_ID)])
def test_a_plain_number_is_an_id(text: str) -> None:
    assert id_of(text) == int(text)


@pytest.mark.parametrize("text", [None, "0", *NO_NUMBERS, *TOO_LARGE])
def test_anything_else_is_no_id(text: str | None) -> None:
    assert id_of(text) == 0
    assert number_of(text, default=3) == 3


def test_ids_keep_their_order_and_repetitions_and_leave_out_what_is_none() -> None:
    assert ids_of(["12", "x", "3", "0", str(LARGEST_ID + 1), "12", ""]) == [12, 3, 12]


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("40", 40), (str(LARGEST_NUMBER), LARGEST_NUMBER), (str(LARGEST_NUMBER + 1), 1)]
)
def test_the_number_of_a_page_is_at_least_one_and_small_enough_to_count_from(text: str, number: int) -> None:
    assert number_of(text) == number


@pytest.mark.django_db
@pytest.mark.parametrize("text", [str(LARGEST_ID), str(LARGEST_ID + 1), "9" * 19])
def test_the_database_can_be_asked_for_every_id(text: str) -> None:
    """The limit is the database's own: with one more, a list of ids is answered with an error."""
    assert not Instance.objects.filter(OneOf("pk", [id_of(text)])).exists()
