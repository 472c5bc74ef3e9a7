"""Addresses of a run: its poll, the acts on it, and what follows from it."""

from django.urls import path

from fleet.web import runs

urlpatterns = [
    path("changes/<int:pk>/start", runs.start, name="change-start"),
    path("changes/<int:pk>/live", runs.live, name="run-live"),
    path("changes/<int:pk>/acts/<slug:name>", runs.act, name="run-act"),
    path("changes/<int:pk>/redraft/<slug:key>", runs.redraft, name="run-redraft"),
]
