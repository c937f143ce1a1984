"""Output type splunk_hec: the HTTP Event Collector of Splunk, both endpoints, with acknowledgements."""
