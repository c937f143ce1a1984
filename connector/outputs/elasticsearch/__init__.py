"""Output type elasticsearch: Elasticsearch and OpenSearch over the Bulk API."""
