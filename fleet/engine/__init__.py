"""The reconciler: it alone moves running changes and their machines from state to state."""
