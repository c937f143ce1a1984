"""Operator commands inside the daemon: the Unix socket, its handlers, dead letters and backfills."""
