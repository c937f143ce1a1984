"""Decides whether a record matches the filters of a search; the time range is checked elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from connector.simulator.criteria import Criteria
from connector.simulator.message import Message, Renderer
from connector.simulator.values import Body, Era

_ADDRESS = re.compile(r"[^\s<>\",;]+@[^\s<>\",;]+")
_OWN: Final = frozenset({"alert_id", "message_id", "query", "subject", "exact_subject"})
"""Filters on what differs between messages of one template."""

_RECENT: Final = ("from", "envelope_from", "to", "envelope_to", "client_recipients", "subject", "message_id")
_WIDE: Final = (
    *_RECENT, "alert_id", "from_name", "to_name", "final_disposition", "detection_reasons", "ts", "sent_date",
    "replyto", "smtp_helo_server_ip", "smtp_previous_hop_ip", "x_originating_ip",
)  # fmt: skip

Test = Callable[[Body, Body], bool]
"""A predicate over a record and its details from the sibling endpoints."""


class Matcher:
    """The filters of one search. Results for unchanged messages are cached per template."""

    def __init__(
        self, criteria: Criteria, renderer: Renderer, era: Era, *, include_bec: bool = False
    ) -> None:
        self._renderer = renderer
        self._shared = list(_shared(criteria, include_bec=include_bec))
        self._own = [_TEXT_TESTS[name](text, era) for name, text in criteria.texts.items() if name in _OWN]
        self._templates: dict[int, bool] = {}

    def __call__(self, message: Message, version: int) -> bool:
        """Return whether that version of *message* matches."""
        if message.versions[version].fields:
            body = self._renderer.body(message, version)
            return self._holds(self._shared + self._own, body, message)
        number = message.template.number
        matches = self._templates.get(number)
        if matches is None:
            matches = self._templates[number] = self._holds(self._shared, message.template.body, message)
        if not matches or not self._own:
            return matches
        return self._holds(self._own, self._renderer.body(message, version), message)

    @staticmethod
    def _holds(tests: Iterable[Test], body: Body, message: Message) -> bool:
        return all(test(body, message.template.details) for test in tests)


def _shared(criteria: Criteria, *, include_bec: bool) -> Iterable[Test]:
    if criteria.detections_only:
        yield lambda body, _: body["final_disposition"] not in {"NONE", None}
    if wanted := criteria.final_disposition:
        accepted = {wanted, "MALICIOUS-BEC"} if include_bec and wanted == "MALICIOUS" else {wanted}
        yield lambda body, _: body["final_disposition"] in accepted
    if status := criteria.delivery_status:
        yield lambda body, _: status in (body.get("delivery_status") or ())
    if operation := criteria.operation:
        yield lambda body, _: operation in (body.get("post_delivery_operations") or ())
    if criteria.submissions:
        yield lambda body, _: bool(body["is_phish_submission"])
    for name, text in criteria.texts.items():
        if name not in _OWN:
            yield _TEXT_TESTS[name](text, "current")


def _equal(name: str) -> Callable[[str, Era], Test]:
    return lambda text, _era: lambda body, _: body.get(name) == text


def _party(*names: str) -> Callable[[str, Era], Test]:
    """Match an address, or the domain of one."""

    def build(text: str, _era: Era) -> Test:
        wanted = text.casefold()

        def test(body: Body, _details: Body) -> bool:
            addresses = _addresses(body, names)
            return wanted in addresses or any(address.rpartition("@")[2] == wanted for address in addresses)

        return test

    return build


def _domain(text: str, _era: Era) -> Test:
    """Match a domain, or one below it, of a sender, a recipient or a link."""
    wanted = text.casefold()

    def test(body: Body, details: Body) -> bool:
        domains = {
            address.rpartition("@")[2]
            for address in _addresses(body, ("from", "envelope_from", "to", "envelope_to"))
        }
        domains |= {re.split(r"[/?#:]", link["href"].partition("://")[2])[0] for link in details["links"]}
        return any(domain == wanted or domain.endswith(f".{wanted}") for domain in domains)

    return test


def _subject(text: str, _era: Era) -> Test:
    words = text.casefold().split()
    return lambda body, _: all(word in str(body.get("subject") or "").casefold() for word in words)


def _query(text: str, era: Era) -> Test:
    words = text.casefold().split()
    names = _WIDE if era == "reference" else _RECENT

    def test(body: Body, details: Body) -> bool:
        files = [
            str(file[name]) for file in details["attachments"] for name in ("name", "md5", "sha1", "sha256")
        ]
        text = "\n".join([*_flat(body, names), *files]).casefold()
        return all(word in text for word in words)

    return test


_TEXT_TESTS: Final[dict[str, Callable[[str, Era], Test]]] = {
    "alert_id": _equal("alert_id"),
    "message_id": _equal("message_id"),
    "exact_subject": _equal("subject"),
    "smtp_helo_ip": _equal("smtp_helo_server_ip"),
    "sender": _party("from", "envelope_from"),
    "recipient": _party("to", "envelope_to", "client_recipients"),
    "domain": _domain,
    "subject": _subject,
    "query": _query,
}


def _addresses(body: Body, names: Iterable[str]) -> set[str]:
    return {address.casefold() for text in _flat(body, names) for address in _ADDRESS.findall(text)}


def _flat(body: Body, names: Iterable[str]) -> list[str]:
    texts: list[str] = []
    for name in names:
        value: Any = body.get(name)
        texts += [str(item) for item in value] if isinstance(value, list) else [str(value or "")]
    return texts
