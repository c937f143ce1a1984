"""Delivers the verdicts of Cloudflare Email Security to SIEM and SOAR."""

__version__ = "0.1.0"

GC_THRESHOLDS = (50_000, 20, 50)
"""Arguments of ``gc.set_threshold``: after so many new objects, and every 1000th time over all objects.

Imports, mappings and settings are many objects that stay; the connector breaks its reference cycles itself.
"""
