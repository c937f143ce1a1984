"""Network clients shared by source and outputs: HTTP, TLS, proxies, backoff."""
