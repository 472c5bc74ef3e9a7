"""What the reference says: editions, the rules of a replacement and of power, paging, the registry of actions."""
