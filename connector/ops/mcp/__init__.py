"""An MCP server for assistants: response actions as tools. A client of the HTTP API of a running connector.

It holds a caller's token and nothing else: no configuration, no token of Cloudflare, no journal.
"""
