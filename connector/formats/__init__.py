"""Pure encoders: documents and flat fields to bytes (JSON, CEF, LEEF, syslog headers, framing, escaping)."""
