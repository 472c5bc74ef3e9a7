"""The page of a review: what is lost, the figures, and the decision."""
