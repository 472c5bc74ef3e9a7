"""Addresses of choosing machines: the list, its views, a pasted list, locks, one machine; and of the images."""

from django.urls import path

from fleet.web.instances import detail, images, listing, locks, paste, saved_views

urlpatterns = [
    path("instances", listing.instances, name="instances"),
    path("instances/views", saved_views.views, name="views"),
    path("instances/paste", paste.paste, name="paste"),
    path("instances/locks", locks.locks, name="locks"),
    path("instances/<int:pk>", detail.instance, name="instance"),
    path("instances/<int:pk>/lock", detail.lock, name="instance-lock"),
    path("images", images.images, name="images"),
]
