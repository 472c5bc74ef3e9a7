"""Addresses of the overview and of the inbox."""

from django.urls import path

from fleet.web.overview import inbox, views

urlpatterns = [
    path("", views.overview, name="overview"),
    path("overview/now", views.now, name="overview-now"),
    path("overview/mirror", views.mirror, name="overview-mirror"),
    path("sync", views.sync_now, name="sync-now"),
    path("inbox", inbox.inbox, name="inbox"),
]
