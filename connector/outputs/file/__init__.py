"""Output type file: appends to a file, syncs it to disk and rotates it."""
