"""Addresses of choosing machines: the list, its views, a pasted list, locks; and of a change as a copy or a file."""

from django.urls import path

from fleet.web import change_file, instance, instances, locks, paste, views

urlpatterns = [
    path("instances", instances.instances, name="instances"),
    path("instances/views", views.views, name="views"),
    path("instances/paste", paste.paste, name="paste"),
    path("instances/locks", locks.locks, name="locks"),
    path("instances/<int:pk>", instance.instance, name="instance"),
    path("instances/<int:pk>/lock", locks.lock, name="instance-lock"),
    path("changes/upload", change_file.upload, name="change-upload"),
    path("changes/<int:pk>/copy", change_file.copy, name="change-copy"),
    path("changes/<int:pk>/file", change_file.download, name="change-file"),
]
