"""Tags and filters of every template (built in, no load needed): icons, badges, times, numbers."""

from datetime import date, datetime
from typing import Any

from django import template
from django.template import Context
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from fleet.lib import text
from fleet.lib.clock import DatabaseClock
from fleet.models import ChangeState, Outcome, ReplacementState
from fleet.web.shared import badges
from fleet.web.shared.forms import Line, feedback

register = template.Library()


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Draw an icon. There is always a word beside it, so screen readers do not see it."""
    return format_html('<svg class="ico {}" aria-hidden="true"><use href="#i-{}"/></svg>', css, name)


@register.simple_tag
def badge(status: str, glyph: str, words: str, box: bool = False) -> SafeString:
    """Show a state by glyph and word; `box=True` is for the state of what the whole page is about."""
    css = "badge box" if box else "badge"
    return format_html('<span class="{}" data-s="{}">{}{}</span>', css, status, icon(glyph), words)


@register.simple_tag
def change_badge(state: str, box: bool = False) -> SafeString:
    """Show the state of a change."""
    return badge(*badges.CHANGE[state], ChangeState(state).label, box=box)


@register.simple_tag
def replacement_badge(state: str, box: bool = False) -> SafeString:
    """Show the state of one machine's replacement."""
    return badge(*badges.REPLACEMENT[state], ReplacementState(state).label, box=box)


@register.simple_tag
def outcome_badge(outcome: str, box: bool = False) -> SafeString:
    """Show what became of one machine."""
    return badge(*badges.OUTCOME[outcome], Outcome(outcome).label, box=box)


@register.simple_tag
def status_badge(status: str, box: bool = False) -> SafeString:
    """Show a machine's power state; the usual one, Running, is grey text without a glyph."""
    if status == "Running" and not box:
        return format_html('<span class="mute">{}</span>', status)
    words = "Being created" if status == "Pending" else status
    return badge(*badges.INSTANCE.get(status, badges.Badge("off", "info")), words, box=box)


@register.simple_block_tag
def empty_state(
    content: SafeString, glyph: str, title: str, heading: str = "h3", href: str = "", act: str = "", boxed: bool = False
) -> SafeString:
    """Say, in place of a list that is empty, what the place is for; with `href`, lead on by a button that says `act`."""
    return render_to_string(
        "shared/_empty_state.html",
        {
            "glyph": glyph,
            "title": title,
            "words": content,
            "heading": heading,
            "href": href,
            "act": act,
            "boxed": boxed,
        },
    )


@register.simple_tag(takes_context=True)
def age(context: Context, when: datetime | None, never: str = "never") -> str:
    """Say how long ago `when` was: `38 s`, `14 min`."""
    return text.age((_now(context) - when).total_seconds()) if when else never


@register.simple_tag(takes_context=True)
def moment(context: Context, when: datetime | None, none: str = "–") -> SafeString | str:
    """Show a clock time for today, a weekday for this week, a date beyond, as a `<time>` with the whole in its title."""
    if when is None:
        return none
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        when.isoformat(),
        f"{when.day} {when:%b %Y, %H:%M:%S} UTC",
        text.moment(when, _now(context)),
    )


@register.filter
def day(when: date | datetime | None) -> str:
    """Write a date: `31 May 2025`."""
    return f"{when.day} {when:%b %Y}" if when else ""


@register.filter
def counted(number: int, thing: str) -> str:
    """Write `1 machine`, `1,234 machines`; another plural after a comma: `entry,entries`."""
    singular, _, plural = thing.partition(",")
    return text.count(number, singular, plural)


@register.filter
def thousands(number: int | None) -> str:
    """Write a number with commas."""
    return f"{number:,}" if number is not None else ""


@register.filter
def gib(size: int | None) -> str:
    """Write a size: `40 GiB`."""
    return f"{size:,} GiB" if size else "–"


@register.filter
def digest(value: str) -> str:
    """Shorten a digest to what an eye compares: `9f2c…71ab`."""
    return text.short_digest(value)


@register.filter
def share(part: float, whole: float) -> str:
    """Write `part` of `whole` as an SVG length: `19.8%`."""
    return f"{100 * part / whole:.2f}%" if whole else "0%"


@register.filter
def item(mapping: dict[Any, Any], key: Any) -> Any:
    """Look `key` up in a dictionary."""
    return mapping.get(key)


@register.filter
def event_value(value: Any) -> str:
    """Write a value of an audit event: nothing as `none`, digests short, lists and dictionaries on one line."""
    if value is None or value == "" or value == [] or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str) and len(value) == 64 and not value.strip("0123456789abcdef"):
        return text.short_digest(value)
    if isinstance(value, list):
        return text.listed([event_value(item) for item in value], most=12)
    if isinstance(value, dict):
        return ", ".join(f"{key} {event_value(item)}" for key, item in value.items())
    return str(value)


@register.filter
def feedback_lines(field: Any) -> list[Line]:
    """Return the lines under a bound field: errors first, then warnings and good news."""
    return feedback(field)


@register.filter
def may_stay_empty(field: Any) -> bool:
    """Say whether the label says that the field may stay empty.

    Not where there is a choice for nothing, and not for fields with a usual value.
    """
    return not (
        field.field.required or field.widget_type in ("select", "consequences") or field.name in field.form.usual
    )


def _now(context: Context) -> datetime:
    now = context.get("now")
    known = now() if callable(now) else now
    return known if isinstance(known, datetime) else DatabaseClock().now()
