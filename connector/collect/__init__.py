"""Collection from the API into the journal: windows, slices, deduplication, revisits, gaps, backfill."""
