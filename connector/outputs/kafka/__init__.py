"""Output type kafka: an idempotent producer for Apache Kafka, and for Azure Event Hubs."""
