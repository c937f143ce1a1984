"""The HTTP API of actions: routes and API documents are made from the table of operations."""
