"""Messages to people and to other systems: who is told of what, and delivering it."""
