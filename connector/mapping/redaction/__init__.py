"""Removes or pseudonymises personal data before an event is mapped."""
