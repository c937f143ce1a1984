"""Client of Cloudflare's search API: pagination, deferred answers, rate limits, error mapping."""
