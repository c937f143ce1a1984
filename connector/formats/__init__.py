"""Pure encoders: from documents and flat fields to bytes. No clock, no network, no settings."""
