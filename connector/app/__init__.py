"""The composition root: builds every component from the settings and runs them together."""
