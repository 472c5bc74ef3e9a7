"""A client of the site that hands out pages as a browser would show them: without the layout of their templates."""

import re
from typing import Any

from django.http import HttpResponse
from django.test import Client

VERBATIM = re.compile(r"<(pre|textarea)\b")
INLINE = r"(?:a|b|code|del|kbd|s|small|span|time)\b"


class PageClient(Client):
    """Django's client; line breaks and indentation of a template are gone from the HTML of its answers."""

    def request(self, **request: Any) -> HttpResponse:
        answer: HttpResponse = super().request(**request)
        if not answer.streaming and answer.headers.get("Content-Type", "").startswith("text/html"):
            answer.content = on_one_line(answer.content.decode()).encode()
        return answer


def on_one_line(html: str) -> str:
    """Return HTML without line breaks: one space for those in a text, in a tag or between a text and an inline element.

    What stands in `<pre>` and `<textarea>` stays, and so does every space that is no line break.
    """
    parts = re.split(r"(<[^>]+>)", html)
    verbatim = ""
    for at, part in enumerate(parts):
        if at % 2:
            parts[at] = re.sub(r"\s+", " ", part).replace(" >", ">")
            opened = VERBATIM.match(part)
            verbatim = opened[1] if opened else "" if part == f"</{verbatim}>" else verbatim
        elif not verbatim and "\n" in part:
            parts[at] = _text(
                part, before=parts[at - 1] if at else "", after=parts[at + 1] if at + 1 < len(parts) else ""
            )
    return "".join(parts)


def _text(text: str, *, before: str, after: str) -> str:
    """Return the text between two tags on one line; breaks beside a tag are dropped where they make no space."""
    if not text.strip():
        return ""
    text = re.sub(r"\s*\n\s*", "\n", text)
    if text[0] == "\n" and not re.match(f"</{INLINE}", before):
        text = text[1:]
    if text[-1] == "\n" and not re.match(f"<{INLINE}", after):
        text = text[:-1]
    return text.replace("\n", " ")
