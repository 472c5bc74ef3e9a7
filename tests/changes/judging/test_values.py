"""The format of each value, before any machine is looked at."""

import pytest

from fleet.changes.judging.editions import EDITIONS
from fleet.changes.judging.refusals import password_problem, size_problem_of_text
from fleet.lib.secret import Secret


@pytest.mark.parametrize("text", ["", "x", "40.5", "-1", "4 0", "４０", "1e3", "40 GiB"])
def test_a_size_that_is_not_a_whole_number(text: str) -> None:
    problem = size_problem_of_text(text)
    assert problem
    assert problem.code == "InvalidSystemDiskSize"


def test_a_size_that_is_a_whole_number() -> None:
    assert size_problem_of_text("40") is None


@pytest.mark.parametrize(
    ("edition", "password"),
    [
        ("2018", "Abcdef1"),
        ("2018", "A1" + "b" * 29),
        ("2018", "abcdefg1"),
        ("2018", "ABCDEFG1"),
        ("2018", "Abcdefgh"),
        ("2018", "Abcdef 12"),
        ("2018", "Abcdef_12"),
        ("2018", 'Abcdef"12'),
        ("2018", "Abcdefé12"),
        ("2018", "Abcdefü１２"),
        ("2026", "abcdefg1"),
        ("2026", "ABCDEFGH"),
        ("2026", "/Abcdef12"),
        ("2026", "Abc def12"),
    ],
)
def test_a_password_that_the_api_does_not_take(edition: str, password: str) -> None:
    problem = password_problem(Secret(password), EDITIONS[edition])
    assert problem
    assert problem.code == "InvalidPassword.Malformed"
    assert password not in problem.why + problem.do


@pytest.mark.parametrize(
    ("edition", "password"),
    [
        ("2018", "Abcdef12"),
        ("2018", "A1" + "b" * 28),
        ("2018", "Ab1()`~!@#$%^&*-+=|{}[]:;'<>"),
        ("2018", "Ab1,.?/xxx"),
        ("2026", "Abcdef_x"),
        ("2026", "abcdef1_"),
        ("2026", "Abcdef12"),
    ],
)
def test_a_password_that_the_api_takes(edition: str, password: str) -> None:
    assert password_problem(Secret(password), EDITIONS[edition]) is None
