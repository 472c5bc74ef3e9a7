"""What stands around every page: sign-in, navigation, errors, health, the rules of htmx and caching."""
