"""Compiles a mapping to a generated Python function. Only connector.mapping.mapper calls it."""
