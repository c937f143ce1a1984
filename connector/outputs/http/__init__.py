"""Output type http: any HTTP collector, webhook or SOAR endpoint."""
