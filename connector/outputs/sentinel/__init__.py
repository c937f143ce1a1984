"""Output ``sentinel``: Microsoft Sentinel by the Logs Ingestion API of Azure Monitor."""
