"""Addresses of accounts, of people, and of the undo ledger."""

from django.urls import path

from fleet.web import accounts, people, undo

urlpatterns = [
    path("settings/accounts", accounts.accounts, name="accounts"),
    path("settings/accounts/<int:pk>", accounts.account, name="account"),
    path("settings/accounts/<int:pk>/credential", accounts.credential, name="account-credential"),
    path("settings/accounts/<int:pk>/<slug:what>", accounts.act, name="account-act"),
    path("settings/people", people.people, name="people"),
    path("settings/people/<int:pk>", people.person, name="person"),
    path("settings/people/<int:pk>/code", people.invite, name="person-invite"),
    path("settings/people/<int:pk>/<slug:what>", people.act, name="person-act"),
    path("choose-password", people.choose_password, name="choose-password"),
    path("undo", undo.undo, name="undo"),
]
