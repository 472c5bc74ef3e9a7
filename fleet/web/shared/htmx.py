"""How pages answer htmx: the view names the partial, and the status code tells the outcome."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django_htmx.middleware import HtmxDetails

from fleet.models import User


class Request(HttpRequest):
    """A request behind the middleware: somebody is signed in, and htmx has said what it wants."""

    user: User
    htmx: HtmxDetails


def wants_partial(request: Request) -> bool:
    """Say whether a fragment is wanted; going back in the history wants the whole page, though htmx asks for it."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def partial(request: Request, template: str, name: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Render the partial `name` of `template` for htmx, else the whole page."""
    shown = f"{template}#{name}" if wants_partial(request) else template
    return render(request, shown, context, status=status)


def redirect_to(request: HttpRequest, to: Any, *args: Any, **kwargs: Any) -> HttpResponse:
    """Send the browser to a URL, a URL's name or an object: 204 with HX-Redirect for htmx, else 302."""
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": resolve_url(to, *args, **kwargs)})
    answer: HttpResponse = redirect(to, *args, **kwargs)
    return answer


def toast(response: HttpResponse, text: str, *, status: str = "ok", note: str = "") -> HttpResponse:
    """Let the page show `text` when htmx receives `response`; `status` is ok, run, warn, bad or off.

    The page shows one text once; `note` stands behind it and is renewed when the text comes again.
    """
    return trigger(response, "toast", {"text": text, "status": status} | ({"note": note} if note else {}))


def pushed(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Let the address bar show this GET as a link would be written: without what was left empty."""
    asked = request.GET.copy()
    for name in [name for name, value in asked.items() if not value]:
        del asked[name]
    response["HX-Push-Url"] = request.path + (f"?{asked.urlencode()}" if asked else "")
    return response


def trigger(response: HttpResponse, event: str, detail: Any = None) -> HttpResponse:
    """Let htmx fire `event` on the element that asked."""
    events = json.loads(response.get("HX-Trigger", "{}"))
    response["HX-Trigger"] = json.dumps({**events, event: detail})
    return response
