"""A refusal is said once: at its field, in the summary of the form, or on top of the page."""

import pytest
from django import forms

from fleet.lib.refused import Refused
from fleet.web.shared.forms import Form


class Sample(Form):
    name = forms.CharField(label="Name")
    size = forms.CharField(label="Size", required=False)


def bound(**typed: str) -> Sample:
    form = Sample({"name": "web", **typed})
    form.is_valid()
    return form


def said(form: Sample) -> dict[str, list[str]]:
    return {label: [line.fact for line in lines] for _, label, lines in form.faults()}


def test_what_is_wrong_in_a_field_stands_at_the_field() -> None:
    form = bound()
    form.refuse(Refused("There is a web already.", field="name"))
    assert said(form) == {"Name": ["There is a web already."]}
    assert form.refused is None


@pytest.mark.parametrize("field", ["", "no_such_field"])
def test_what_is_wrong_in_no_field_of_the_form_stands_in_its_summary(field: str) -> None:
    form = bound()
    form.refuse(Refused("It does not fit together.", field=field))
    assert said(form) == {"": ["It does not fit together."]}
    assert form.refused is None


def test_a_field_that_has_a_fault_already_keeps_the_sentence_that_is_nearer_to_it() -> None:
    form = bound(name="")
    form.refuse(Refused("There is no name.", field="name"))
    assert said(form) == {"Name": ["Name is missing."]}


@pytest.mark.parametrize("kind", ["forbidden", "moved"])
def test_what_no_correction_of_the_form_mends_stands_on_top_of_the_page(kind: str) -> None:
    form, refused = bound(), Refused("Somebody was faster.", kind=kind, field="name")
    form.refuse(refused)
    assert form.refused is refused
    assert said(form) == {}


def test_what_is_refused_to_a_button_without_a_form_stands_on_top_of_the_page() -> None:
    form, refused = Sample(), Refused("It has no credential.", field="name")
    form.refuse(refused)
    assert form.refused is refused
    assert said(form) == {}
