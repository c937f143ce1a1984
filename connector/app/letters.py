"""Dead letters as JSON: a line for the list, and the whole.

They travel as JSON text in ASCII, because a mail may hold what a stricter encoder refuses (half a surrogate
pair, an integer of any size), and whoever looks at a dead letter wants exactly what was received.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from connector.formats.json import encode
from connector.model import Body, DeadLetter, JsonObject, Revision

_SUBJECT = 400
"""Characters of a subject in a list; the whole is in the whole."""


def summary(number: int, letter: DeadLetter, names: Mapping[str, str]) -> JsonObject:
    """What tells one dead letter from another; *names* gives the accounts' names by id."""
    revision = letter.revision
    subject = revision.record.body.get("subject")
    return {
        **_about(number, letter),
        "account": revision.feed.account,
        "account_name": names.get(revision.feed.account),
        "search": revision.feed.search,
        "id": revision.record.id,
        "revision": revision.number,
        "subject": subject[:_SUBJECT] if isinstance(subject, str) else None,
    }


def whole(number: int, letter: DeadLetter, names: Mapping[str, str]) -> JsonObject:
    """All of it."""
    return {**_about(number, letter), "revision": _revision(letter.revision, names)}


def to_text(value: JsonObject | list[JsonObject]) -> str:
    """*value* as JSON in ASCII; what JSON has no number for is ``null``."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(encode({"value": value}))["value"])


def _about(number: int, letter: DeadLetter) -> JsonObject:
    return {
        "number": number,
        "output": letter.output,
        "sequence": letter.sequence,
        "reason": letter.reason,
        "answer": letter.answer,
        "attempts": letter.attempts,
        "first_tried": letter.first_tried.isoformat(),
        "buried": letter.buried.isoformat(),
    }


def _revision(revision: Revision, names: Mapping[str, str]) -> JsonObject:
    previous: Body | None = revision.previous
    return {
        "account": revision.feed.account,
        "account_name": names.get(revision.feed.account),
        "search": revision.feed.search,
        "id": revision.record.id,
        "number": revision.number,
        "digest": revision.digest,
        "identity": revision.identity,
        "occurrence": revision.occurrence,
        "gone": revision.gone,
        "collected": revision.collected.isoformat(),
        "previous": previous,
        "enrichment": revision.enrichment,
        "record": revision.record.body,
    }
