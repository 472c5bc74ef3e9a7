"""The page of a run: waves, machines, figures, forecast, and what people can do."""
