"""Every address of the site, room by room."""

from django.urls import include, path

handler400 = "fleet.web.frame.errors.bad_request"
handler403 = "fleet.web.frame.errors.forbidden"
handler404 = "fleet.web.frame.errors.not_found"
handler500 = "fleet.web.frame.errors.failed"

urlpatterns = [
    path("", include("fleet.web.frame.urls")),
    path("", include("fleet.web.overview.urls")),
    path("", include("fleet.web.audit.urls")),
    path("", include("fleet.web.instances.urls")),
    path("", include("fleet.web.change.urls")),
    path("", include("fleet.web.settings.urls")),
]
