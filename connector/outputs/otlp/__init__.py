"""Output type otlp: OpenTelemetry logs over HTTP, for every collector that speaks OTLP."""
