"""Who may start what and when: policy, calendars, window, approvals, roles, kill switch, and the gates of the call."""
