"""Addresses of the settings: what holds for everybody, accounts, people."""

from django.urls import path

from fleet.web.settings import accounts, approval_rules, calendars, kill_switch, notices, page, people

urlpatterns = [
    path("settings", page.settings, name="settings"),
    path("settings/calendars", calendars.calendars, name="settings-calendars"),
    path("settings/calendars/<int:pk>", calendars.calendar, name="settings-calendar"),
    path("settings/calendars/<int:pk>/remove", calendars.remove, name="settings-calendar-remove"),
    path("settings/calendars/<int:pk>/entries", calendars.entry, name="settings-entries"),
    path("settings/calendars/<int:pk>/entries/<int:entry>", calendars.entry, name="settings-entry"),
    path(
        "settings/calendars/<int:pk>/entries/<int:entry>/remove",
        calendars.remove_entry,
        name="settings-entry-remove",
    ),
    path("settings/approvals", approval_rules.rules, name="settings-quorum"),
    path("settings/approvals/<int:pk>", approval_rules.rules, name="settings-rule"),
    path("settings/approvals/<int:pk>/remove", approval_rules.remove, name="settings-rule-remove"),
    path("settings/kill-switch", kill_switch.kill, name="settings-kill"),
    path("settings/kill-switch/<int:pk>/lift", kill_switch.lifted, name="settings-lift"),
    path("settings/notifications", notices.notices, name="settings-notices"),
    path("settings/notifications/mail", notices.mail, name="settings-mail"),
    path("settings/notifications/<int:pk>/<slug:what>", notices.act, name="settings-webhook"),
    path("settings/accounts", accounts.accounts, name="accounts"),
    path("settings/accounts/<int:pk>", accounts.account, name="account"),
    path("settings/accounts/<int:pk>/credential", accounts.credential, name="account-credential"),
    path("settings/accounts/<int:pk>/<slug:what>", accounts.act, name="account-act"),
    path("settings/people", people.people, name="people"),
    path("settings/people/<int:pk>", people.person, name="person"),
    path("settings/people/<int:pk>/code", people.invite, name="person-invite"),
    path("settings/people/<int:pk>/<slug:what>", people.act, name="person-act"),
    path("choose-password", people.choose_password, name="choose-password"),
]
