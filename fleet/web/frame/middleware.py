"""Middleware: the headers that htmx needs, UTF-8 forms, and that somebody is signed in."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers


class HtmxRulesMiddleware:
    """Let caches keep fragments and pages apart, and let them store no page at all.

    Without `Vary: HX-Request` the browser's Back button shows a bare fragment where a page was.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        patch_vary_headers(response, ["HX-Request"])
        if response.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


class TextInUtf8Middleware:
    """Refuse a form that names another encoding than UTF-8, before anything reads it.

    Django itself refuses plain forms; for forms with files it would look up an encoding of whatever name was sent, and fail.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        charset = (request.content_params or {}).get("charset", "utf-8")
        if charset.lower() not in ("utf-8", "utf8"):
            raise BadRequest("Forms must be UTF-8 encoded")
        return self.get_response(request)


class SignInRequiredMiddleware(LoginRequiredMiddleware):
    """Send whoever is not signed in to the sign-in, except from views marked `login_not_required`.

    htmx would follow a redirect and put the sign-in page into the middle of a table. So it gets 401 and HX-Redirect, with
    the page that the person is on as the place to come back to.
    """

    def handle_no_permission(  # type: ignore[override]
        self, request: HttpRequest, view_func: Any
    ) -> HttpResponseBase:
        htmx = getattr(request, "htmx", None)
        if not htmx:
            return super().handle_no_permission(request, view_func)
        seen = htmx.current_url_abs_path or resolve_url("overview")
        answer = redirect_to_login(seen, resolve_url("sign-in"))
        return HttpResponse(status=401, headers={"HX-Redirect": answer.url})
