"""What mapping commands and editors use: lint, coverage, explain, inline tests, JSON Schema."""
