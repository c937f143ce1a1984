"""Use cases behind commands: check, search, mapping tools, backfill, and the client of a running daemon."""
