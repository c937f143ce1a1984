"""``python -m connector``: the same as the command ``email-connector``."""

from connector.cli import main

main()
