"""Applies a mapping: the execution plan, the reference interpreter, type coercion and the unmapped rest."""
