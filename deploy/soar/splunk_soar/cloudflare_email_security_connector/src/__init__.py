"""The Splunk SOAR app."""
