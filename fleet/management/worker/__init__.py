"""The watchdog of django-q2's task cluster, and how it tells that the cluster lives."""
