"""Collection: from the API into the journal. Nothing missed, nothing stale."""
