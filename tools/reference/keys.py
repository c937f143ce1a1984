"""docs/reference/configuration.md: every key with its variable and limits, from ``connector.settings``."""

from __future__ import annotations

from collections.abc import Iterator

from connector.model import SearchSource
from connector.outputs import BUILT_IN
from tools.reference.markdown import table
from tools.reference.tables import Row, rows_of

_HEAD = """\
# Configuration keys

Every key with the environment variable that sets it. [Configuration](../configuration.md) explains how configuration works.
`NAME` is the name of an account, a search or an output, in upper case. A secret or URL may also come from a file: append `_FILE`
to the variable and set it to the file's path. A JSON Schema for editors: `email-connector schema config`.
"""


def page() -> str:
    """The page."""
    parts = [_HEAD, _part("Process", "", rows_of("top"))]
    parts.append(_part("accounts.NAME", "ACCOUNTS__NAME__", rows_of("accounts")))
    parts.append(_part("searches.NAME", "SEARCHES__NAME__", rows_of("searches")))
    for source in SearchSource:
        heading = f"searches.NAME.filters with source: {source}"
        parts.append(_part(heading, "SEARCHES__NAME__FILTERS__", rows_of(f"filters {source}")))
    parts.append(_part("outputs.NAME, every type", "OUTPUTS__NAME__", rows_of("outputs")))
    for kind in sorted(BUILT_IN):
        own = list(rows_of(f"output {kind}"))
        if own:
            parts.append(_part(f"outputs.NAME of type {kind}", "OUTPUTS__NAME__", own))
    tls = "Wherever `tls` may stand: accounts and outputs that connect."
    parts.append(_part("tls", "...__TLS__", rows_of("tls"), tls))
    return "\n".join(parts)


def _part(title: str, prefix: str, rows: Iterator[Row] | list[Row], note: str = "") -> str:
    told = [
        (f"`{key}`", f"`CONNECTOR_{prefix}{key.replace('.', '__').upper()}`", value, default, text)
        for key, value, default, text in rows
    ]
    drawn = table(("key", "variable", "value", "default", "meaning"), told)
    return f"## {title}\n\n{note}{chr(10) * 2 if note else ''}{drawn}"
