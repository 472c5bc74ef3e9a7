"""From nothing to submitted: choosing machines and settings, copies, files of a change, undo, machine locks."""
