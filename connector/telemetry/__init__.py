"""Telemetry: facts become log lines, metrics and the status snapshot together, so they cannot disagree."""
