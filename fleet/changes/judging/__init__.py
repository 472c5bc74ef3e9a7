"""What the API would refuse and what a reviewer should know, for one machine and for ten thousand."""
