"""What several screens share: badges, forms, htmx, paging, refusals, scope, what waits for a person."""
