"""What each state of a replacement makes true: read first, act only where the fact is not true yet."""
