"""Every address of the site."""

from django.urls import include, path

from fleet.web import audit, audit_export, frame, health, images, overview, sign_in

handler400 = "fleet.web.errors.bad_request"
handler403 = "fleet.web.errors.forbidden"
handler404 = "fleet.web.errors.not_found"
handler500 = "fleet.web.errors.failed"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("overview/now", overview.now, name="overview-now"),
    path("overview/mirror", overview.mirror, name="overview-mirror"),
    path("sync", overview.sync_now, name="sync-now"),
    path("images", images.images, name="images"),
    path("audit", audit.audit, name="audit"),
    path("audit/verify", audit.verify_now, name="audit-verify"),
    path("audit/export", audit_export.export, name="audit-export"),
    path("jump", frame.jump, name="jump"),
    path("fresh", frame.fresh, name="fresh"),
    path("theme", frame.theme, name="theme"),
    path("sign-in", sign_in.SignIn.as_view(), name="sign-in"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("healthz", health.healthz, name="healthz"),
    path("", include("fleet.web.instances_urls")),
    path("", include("fleet.web.changes_urls")),
    path("", include("fleet.web.run_urls")),
    path("", include("fleet.web.settings_urls")),
    path("", include("fleet.web.accounts_urls")),
]
