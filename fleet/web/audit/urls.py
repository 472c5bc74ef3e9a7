"""Addresses of the audit trail."""

from django.urls import path

from fleet.web.audit import export, views

urlpatterns = [
    path("audit", views.audit, name="audit"),
    path("audit/verify", views.verify_now, name="audit-verify"),
    path("audit/export", export.export, name="audit-export"),
]
