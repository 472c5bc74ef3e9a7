"""What everything stands on and what knows nothing of the rest: clock, canonical JSON, secrets, signing, posting, words."""
