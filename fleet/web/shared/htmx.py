"""How pages answer htmx: the view names the partial template, and the status code says how it went."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django_htmx.middleware import HtmxDetails

from fleet.models import User


class Request(HttpRequest):
    """A request as views get it: somebody is signed in, and `htmx` says whether htmx sent it and what for."""

    user: User
    htmx: HtmxDetails


def wants_partial(request: Request) -> bool:
    """Say whether htmx wants a fragment; when a person goes back in the history, htmx asks for the whole page."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def partial(request: Request, template: str, name: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Render the partial `name` of `template` for htmx, else the whole page."""
    wanted = f"{template}#{name}" if wants_partial(request) else template
    return render(request, wanted, context, status=status)


def redirect_to(request: HttpRequest, to: Any, *args: Any, **kwargs: Any) -> HttpResponse:
    """Send the browser to a URL, a URL's name or an object: 204 with HX-Redirect for htmx, else 302."""
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": resolve_url(to, *args, **kwargs)})
    answer: HttpResponse = redirect(to, *args, **kwargs)
    return answer


def toast(response: HttpResponse, text: str, *, status: str = "ok", note: str = "") -> HttpResponse:
    """Let the page show `text` for a moment when htmx receives `response`; `status` is ok, run, warn, bad or off.

    While a text is shown, the same text does not appear a second time; only the `note` behind it is replaced.
    """
    return trigger(response, "toast", {"text": text, "status": status} | ({"note": note} if note else {}))


def pushed(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Let the address bar show the address of this GET without the parameters that were left empty."""
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
