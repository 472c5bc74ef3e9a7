"""Addresses of the inbox and of the settings that hold for everybody."""

from django.urls import path

from fleet.web import inbox, notices_page, settings_calendars, settings_kill, settings_page, settings_quorum

urlpatterns = [
    path("inbox", inbox.inbox, name="inbox"),
    path("settings", settings_page.settings, name="settings"),
    path("settings/calendars", settings_calendars.calendars, name="settings-calendars"),
    path("settings/calendars/<int:pk>", settings_calendars.calendar, name="settings-calendar"),
    path("settings/calendars/<int:pk>/remove", settings_calendars.remove, name="settings-calendar-remove"),
    path("settings/calendars/<int:pk>/entries", settings_calendars.entry, name="settings-entries"),
    path("settings/calendars/<int:pk>/entries/<int:entry>", settings_calendars.entry, name="settings-entry"),
    path(
        "settings/calendars/<int:pk>/entries/<int:entry>/remove",
        settings_calendars.remove_entry,
        name="settings-entry-remove",
    ),
    path("settings/approvals", settings_quorum.rules, name="settings-quorum"),
    path("settings/approvals/<int:pk>", settings_quorum.rules, name="settings-rule"),
    path("settings/approvals/<int:pk>/remove", settings_quorum.remove, name="settings-rule-remove"),
    path("settings/kill-switch", settings_kill.kill, name="settings-kill"),
    path("settings/kill-switch/<int:pk>/lift", settings_kill.lifted, name="settings-lift"),
    path("settings/notifications", notices_page.notices, name="settings-notices"),
    path("settings/notifications/mail", notices_page.mail, name="settings-mail"),
    path("settings/notifications/<int:pk>/<slug:what>", notices_page.act, name="settings-webhook"),
]
