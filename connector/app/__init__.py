"""The composition root: knows the settings, builds every room and runs them together."""
