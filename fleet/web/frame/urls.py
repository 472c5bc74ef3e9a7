"""Addresses of what stands around every page: signing in and out, jumping, the theme, the state of the site."""

from django.urls import path

from fleet.web.frame import health, sign_in, views

urlpatterns = [
    path("jump", views.jump, name="jump"),
    path("fresh", views.fresh, name="fresh"),
    path("theme", views.theme, name="theme"),
    path("sign-in", sign_in.SignIn.as_view(), name="sign-in"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("healthz", health.healthz, name="healthz"),
]
