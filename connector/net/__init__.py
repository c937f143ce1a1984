"""What talks to the network in general: HTTP, TLS, and how long to wait before trying again."""
