"""What a person says when locking machines: why, and until when."""

from typing import Any

from django import forms

from fleet.web.shared.forms import Form


class LockForm(Form):
    """Reason and end of a lock; the end is UTC and may stay empty."""

    reason = forms.CharField(
        label="Why nobody may touch it",
        max_length=400,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Whoever wants to change it reads this.",
    )
    expires_at = forms.DateTimeField(
        label="Until, in UTC",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Empty: until somebody releases it.",
    )
    wide = ("reason",)
    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = self.fields["reason"].error_messages
        words["required"] = "No reason is given. Say why nobody may touch it."
        words["max_length"] = "The reason is too long. Use 400 characters or fewer."
        invalid = "This is no time. Enter a day and a time, or leave it empty."
        self.fields["expires_at"].error_messages["invalid"] = invalid
