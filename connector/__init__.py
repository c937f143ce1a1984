"""Delivers the verdicts of Cloudflare Email Security to SIEM and SOAR."""

__version__ = "0.1.0"
