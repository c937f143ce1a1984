"""Filters of a search: every query parameter of the API, validated before a request is made.

One table serves the configuration, the command line and the documentation. Parameters that the connector sets
itself (paging, time range) are refused with the reason.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from connector.api_values import DELIVERY_STATUSES, DISPOSITIONS
from connector.model import FilterValue
from connector.values import dataclass
from connector.yaml_nodes import suggestion

Kind: TypeAlias = Literal["text", "texts", "boolean", "choice", "choices", "address"]
Era: TypeAlias = Literal["both", "seed", "now"]

_LONGEST = 1000
"""Characters of a text filter; keeps the URL far below the usual limit of 8 KiB."""

_REMOVED = "Cloudflare removed this parameter; the API may ignore it or refuse the search"


@dataclass(frozen=True, slots=True)
class Filter:
    """One query parameter.

    Args:
        name: as the API spells it.
        kind: text, texts (one or several), boolean, choice (one of *allowed*), choices (one or several),
            address (IP).
        help: what it selects, for people.
        allowed: the values of a choice.
        unfilterable: values that records have but the API cannot filter by.
        era: both, or seed (removed by now), or now (newer than the first documented version).
        warning: why it deserves a look although it is accepted.
        value_warnings: values with a warning of their own.
    """

    name: str
    kind: Kind
    help: str
    allowed: tuple[str, ...] = ()
    unfilterable: tuple[str, ...] = ()
    era: Era = "both"
    warning: str = ""
    value_warnings: Mapping[str, str] | None = None


_TABLE = (
    Filter(
        "detections_only",
        "boolean",
        "Only messages with a detection (default), or all messages. Always sent.",
    ),
    Filter(
        "final_disposition",
        "choices",
        "Verdict. A list takes one search per value.",
        allowed=DISPOSITIONS,
        unfilterable=("MALICIOUS-BEC", "ENCRYPTED", "EXTERNAL", "UNKNOWN"),
    ),
    Filter(
        "delivery_status",
        "choice",
        "Delivery status.",
        allowed=DELIVERY_STATUSES,
        era="now",
    ),
    Filter(
        "message_action",
        "choice",
        "Action taken on the message after delivery.",
        allowed=("PREVIEW", "QUARANTINE_RELEASED", "MOVED", "SUBMITTED"),
        value_warnings={"SUBMITTED": "Cloudflare removed the value SUBMITTED; the API may refuse the search"},
    ),
    Filter("sender", "text", "Sender: an email address or a domain."),
    Filter("recipient", "text", "Recipient: an email address or a domain."),
    Filter("domain", "text", "Domain of the sender, of a recipient, or in a link of the message."),
    Filter("subject", "text", "Words in the subject, in any order."),
    Filter("query", "text", "Words in the message's metadata, separated by spaces; case does not matter."),
    Filter("message_id", "text", "The Message-ID header, angle brackets included."),
    Filter("alert_id", "text", "One alert, such as 4Njp3P0STMz2c02Q-2022-12-30T02:44:49."),
    Filter("smtp_helo_ip", "address", "IP address of the SMTP server that sent HELO.", era="now"),
    Filter(
        "metric",
        "text",
        "Metric to aggregate by; passed through unchanged.",
        warning="metric requests aggregates, and Cloudflare does not document what records look like then",
    ),
    Filter("exact_subject", "text", "The whole subject.", era="seed", warning=_REMOVED),
    Filter("submissions", "boolean", "Submissions instead of messages.", era="seed", warning=_REMOVED),
    Filter("action_log", "boolean", "Include the action log in each record.", era="seed", warning=_REMOVED),
)
FILTERS: Mapping[str, Filter] = {row.name: row for row in _TABLE}
"""All filters by name, in documentation order."""

NOT_FILTERS: Mapping[str, str] = {
    "start": "the connector sets the time range: use `start` of the search, or the backfill command",
    "end": "the connector sets the time range: use `settle` of the search, or the backfill command",
    "per_page": "set `per_page` of the search instead",
    "cursor": "the connector pages by itself",
    "page": "Cloudflare removed page numbers; the connector follows cursors",
}
"""Parameters a search cannot set, and why."""


@dataclass(frozen=True, slots=True)
class FilterTable:
    """The filters of one source by name, in documentation order, and parameters that are none, with why."""

    filters: Mapping[str, Filter]
    not_filters: Mapping[str, str]

    def validate(self, name: str, value: object) -> FilterValue:
        """Return *value* in the form of the API; raises ``ValueError`` with a message for the user.

        Accepts the types of YAML and of a command line: booleans also as text, choices in any case.
        """
        if name in self.not_filters:
            raise ValueError(f"{name} is not a filter: {self.not_filters[name]}")
        if name not in self.filters:
            hint = suggestion(name, self.filters)
            raise ValueError(f"unknown filter {name!r}" + (f": {hint}" if hint else ""))
        row = self.filters[name]
        return _READERS[row.kind](row, value)

    def parameters(self, filters: Mapping[str, FilterValue]) -> tuple[tuple[str, str], ...]:
        """Return query parameters, one per value; validates again."""
        checked = {name: self.validate(name, value) for name, value in filters.items()}
        return tuple(
            (name, _sent(one))
            for name, value in checked.items()
            for one in (value if isinstance(value, tuple) else (value,))
        )


MESSAGES = FilterTable(FILTERS, NOT_FILTERS)
"""What the search of messages knows."""


def validate(name: str, value: object) -> FilterValue:
    """See ``FilterTable``; of the search of messages."""
    return MESSAGES.validate(name, value)


def warnings(filters: Mapping[str, FilterValue]) -> tuple[str, ...]:
    """Return warnings about filters that are valid on their own."""
    messages = []
    for name, value in filters.items():
        row = FILTERS.get(name)
        if row is None:
            continue
        if row.warning:
            messages.append(f"{name}: {row.warning}")
        if row.value_warnings and isinstance(value, str) and value in row.value_warnings:
            messages.append(f"{name}: {row.value_warnings[value]}")
    if filters.get("detections_only", True) is True and "NONE" in _several(
        filters.get("final_disposition", ())
    ):
        messages.append(
            "final_disposition: NONE matches nothing while detections_only is true; set that to false"
        )
    return tuple(messages)


def query_parameters(filters: Mapping[str, FilterValue]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return the query parameters of every request sequence that *filters* need; validates again.

    The API takes one disposition at a time, so several dispositions need one search each.
    """
    checked = {"detections_only": True, **{name: validate(name, value) for name, value in filters.items()}}
    dispositions = _several(checked.pop("final_disposition", ()))
    fixed = tuple((name, _sent(value)) for name, value in checked.items())
    if not dispositions:
        return (fixed,)
    return tuple((*fixed, ("final_disposition", value)) for value in dispositions)


def _several(value: FilterValue) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)


def _sent(value: FilterValue) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _boolean(row: Filter, value: object) -> FilterValue:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        return value.strip().lower() == "true"
    raise ValueError(f"{row.name}: expected true or false")


def _text(row: Filter, value: object) -> FilterValue:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"{row.name}: expected a text{_one_value(value)}")  # noqa: TRY004, pydantic people read it
    if not value.strip():
        raise ValueError(f"{row.name}: expected a value, got an empty text; omit the filter instead")
    if len(value) > _LONGEST:
        raise ValueError(f"{row.name}: expected at most {_LONGEST} characters, got {len(value)}")
    if not value.isprintable():
        raise ValueError(f"{row.name}: contains a control character")
    return value.strip()


def _texts(row: Filter, value: object) -> FilterValue:
    if not isinstance(value, (list, tuple)):
        return _text(row, value)
    if not value:
        raise ValueError(f"{row.name}: expected at least one value, got an empty list")
    return tuple(dict.fromkeys(str(_text(row, item)) for item in value))


def _choice(row: Filter, value: object) -> FilterValue:
    known = {allowed.upper(): allowed for allowed in row.allowed}
    word = value.strip().upper() if isinstance(value, str) else ""
    if word in known:
        return known[word]
    if word in row.unfilterable:
        raise ValueError(
            f"the API cannot filter {row.name} by {word}: remove it here and set "
            f"'when: {{{row.name}: {word}}}' on the output"
        )
    allowed = ", ".join(row.allowed)
    raise ValueError(f"{row.name}: expected one of {allowed}{_one_value(value)}")


def _choices(row: Filter, value: object) -> FilterValue:
    if isinstance(value, str) and "," in value:
        value = value.split(",")
    if not isinstance(value, (list, tuple)):
        return _choice(row, value)
    chosen = tuple(dict.fromkeys(str(_choice(row, item)) for item in value))
    if not chosen:
        raise ValueError(f"{row.name}: expected at least one value, got an empty list")
    return chosen


def _address(row: Filter, value: object) -> FilterValue:
    text = str(_text(row, value))
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{row.name}: expected one IP address, such as 192.0.2.186") from None


def _one_value(value: object) -> str:
    return (
        "; this filter takes one value, define one search per value"
        if isinstance(value, (list, tuple))
        else ""
    )


_READERS: Mapping[Kind, Callable[[Filter, object], FilterValue]] = {
    "text": _text,
    "texts": _texts,
    "boolean": _boolean,
    "choice": _choice,
    "choices": _choices,
    "address": _address,
}
