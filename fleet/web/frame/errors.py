"""Error pages: what happened, what did not happen, and what to do. htmx gets the same sentence as a toast."""

import logging
import secrets
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from fleet.web.shared.htmx import toast

log = logging.getLogger(__name__)


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 400: the request could not be read."""
    return _page(
        request,
        400,
        "This request cannot be read",
        "Nothing was changed. Go back, load the page again and repeat the step.",
    )


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 403 with the exception's own sentence where a view gave one."""
    sentence = str(exception) if exception and str(exception) else "Your roles do not include this."
    return _page(
        request, 403, "This is not yours to do", f"{sentence} Nothing was changed. An administrator can grant roles."
    )


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """Answer 404: there is nothing here, or nothing that this person may see."""
    return _page(
        request,
        404,
        "There is nothing here",
        "The address is wrong, what stood here is gone, or it lies outside your accounts. Search for it, or go to the overview.",
    )


def failed(request: HttpRequest) -> HttpResponse:
    """Answer 500 without touching the database, which may be what failed."""
    reference = secrets.token_hex(4)
    log.error("Answered 500 to %s %s, reference %s", request.method, request.path, reference)
    sentence = (
        "Whatever you asked for was not completed by this page. What already runs goes on: workers do not depend on "
        "this page. Try again; if it fails again, tell your administrator the reference."
    )
    return _page(
        request, 500, "The server failed to answer", sentence, template="frame/failed.html", reference=reference
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a form that is too old, or that another site sent."""
    return _page(
        request,
        403,
        "This form is out of date",
        "Nothing was changed. You signed in or out since the page was loaded: load it again and repeat the step.",
    )


def _page(
    request: HttpRequest,
    status: int,
    title: str,
    sentence: str,
    *,
    template: str = "frame/error.html",
    reference: str = "",
) -> HttpResponse:
    if getattr(request, "htmx", False):
        note = f"Reference {reference}." if reference else ""
        return toast(HttpResponse(status=status), f"{title}. {sentence}", status="bad", note=note)
    context = {"title": title, "sentence": sentence, "code": status, "reference": reference}
    if status == 500:
        # Without the request: no context processor, so no query.
        return HttpResponse(render_to_string(template, context), status=status)
    return render(request, template, context, status=status)
