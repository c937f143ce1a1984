"""Backfill: reading a past range of time again, as a queued job with its own checkpoint."""
