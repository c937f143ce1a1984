"""What several output types share: HTTP client, TCP and TLS streams, failover, blocking writers."""
