"""Acts of administrators: accounts, people and roles, approval rules, calendars, kill switch, webhooks. Each is on the trail."""
