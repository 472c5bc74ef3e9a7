"""The views of what stands around every page: the age of the mirror, the theme, and the search field."""

from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.http import require_POST, require_safe

from fleet.models import Instance
from fleet.web.frame.context import THEMES
from fleet.web.shared.htmx import Request
from fleet.web.shared.numbers import id_of
from fleet.web.shared.scope import visible_changes, visible_instances

YEAR = 365 * 24 * 3600


@require_safe
@login_not_required
def fresh(request: HttpRequest) -> HttpResponse:
    """Answer the poll of the mirror's age and of the kill switch.

    It needs no sign-in: where the session has ended, the page says so, and nothing that was typed is lost.
    """
    return render(request, "frame/_fresh.html", {"poll": True})


@require_POST
@login_not_required
def theme(request: HttpRequest) -> HttpResponse:
    """Keep the theme in a cookie; anything but light and dark means that the browser decides."""
    came_from = urlsplit(request.META.get("HTTP_REFERER", ""))
    seen = f"{came_from.path}?{came_from.query}" if came_from.query else came_from.path
    response = redirect(local_path(request, request.POST.get("next") or seen))
    wanted = request.POST.get("theme", "")
    if wanted in THEMES:
        response.set_cookie("theme", wanted, max_age=YEAR, samesite="Lax", secure=request.is_secure(), httponly=True)
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response


@require_safe
def jump(request: Request) -> HttpResponse:
    """Go to the change `#12`, to the one machine with this id, name or address, or else to the list of what matches."""
    asked = request.GET.get("q", "").strip()
    number = id_of(asked.removeprefix("#"))
    if number and visible_changes(request.user).filter(pk=number).exists():
        return redirect("change", number)
    matches: list[Instance] = []
    for field in ("instance_id", "name", "private_ip", "public_ip", "disk_id"):
        if asked and not matches:
            matches = list(visible_instances(request.user).filter(**{field: asked})[:2])
    if len(matches) == 1:
        return redirect("instance", matches[0].pk)
    return redirect(f"{reverse('instances')}?{urlencode({'q': asked})}")


def local_path(request: HttpRequest, path: str) -> str:
    """Return `path` where it stays on this site, else the overview."""
    here = url_has_allowed_host_and_scheme(path, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return path if path and here else resolve_url("overview")
