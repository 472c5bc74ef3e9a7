"""People's acts on a run: start, pause, resume, decide over held machines, retry; with previews and causes."""
