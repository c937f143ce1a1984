"""Conformance suites and scripted fakes. They ship, so that a plugin can prove itself with them."""
