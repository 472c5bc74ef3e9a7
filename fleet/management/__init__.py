"""The program as commands: installing it, running it, testing and measuring it."""
