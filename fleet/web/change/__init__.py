"""The one page of a change, whatever its state: list, draft, checking, review, run; files, copies and undo."""
