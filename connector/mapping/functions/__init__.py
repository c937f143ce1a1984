"""The closed set of functions a mapping rule may apply, and the values they work on."""
