"""Child processes that never outlive their parent, and being asked to stop."""
