"""Cloudflare's search API: asks politely, follows every answer to its end, and names what went wrong."""
