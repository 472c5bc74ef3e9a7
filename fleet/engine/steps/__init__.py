"""The policy's own steps before and after a replacement: a command on the machine, or a signed webhook."""
