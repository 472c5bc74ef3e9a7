"""The mirror of the cloud: sync, fresh readings, quotas, end-of-life dates, and the only place that opens a credential."""
