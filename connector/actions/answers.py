"""What the API's rows say of each target. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from connector.actions.action import Kind, Outcome, Recipient, Target, parse_moment, text_of, texts_of
from connector.model import Body

NO_ROW = "the API's answer does not mention it"

_CLOCKS = timedelta(seconds=2)
"""How far a time of the API may lie before the request by the API's own clock: ``Date`` has whole seconds."""

_LOGGED = {Kind.MOVE: "MOVE", Kind.RELEASE: "QUARANTINE_RELEASE", Kind.SUBMIT: "SUBMISSION"}
"""``operation`` of an entry of the action log, by kind of action."""


def moved(target: Target, rows: Sequence[Body]) -> Target:
    """The target after a move: one row per recipient."""
    recipients = [
        Recipient(
            text_of(row.get("recipient")),
            Outcome.SUCCEEDED if row.get("success") is True else Outcome.FAILED,
            "" if row.get("success") is True else text_of(row.get("status")) or "the API gives no reason",
        )
        for row in rows
        if row.get("message_id") == target.id
    ]
    return _ended(target, recipients)


def released(target: Target, rows: Sequence[Body]) -> Target:
    """The target after a release: one row per message, with lists of recipients."""
    recipients = [
        Recipient(address, state, detail)
        for row in rows
        if row.get("id") == target.id
        for name, state, detail in (
            ("delivered", Outcome.SUCCEEDED, ""),
            ("failed", Outcome.FAILED, "the API could not deliver it"),
            ("undelivered", Outcome.FAILED, "not delivered"),
        )
        for address in texts_of(row.get(name))
    ]
    return _ended(target, recipients)


def submitted(targets: Sequence[Target], rows: Sequence[Body]) -> list[Target]:
    """The targets after a submission: one row per message.

    What ``id`` in a row is, is not documented: the message's, or the submission's. Rows that name none of the
    messages belong to them in order, if there are as many.
    """
    names = [_submission_name(target) for target in targets]
    by_name = {text_of(row.get("id")): row for row in rows}
    in_order = len(rows) == len(targets) and not by_name.keys() & set(names)
    ended = []
    for index, (name, target) in enumerate(zip(names, targets, strict=True)):
        row = rows[index] if in_order else by_name.get(name)
        if row is None:
            ended.append(target.ended(Outcome.UNKNOWN, NO_ROW))
        elif row.get("accepted") is True:
            ended.append(target.ended(Outcome.SUCCEEDED))
        else:
            why = text_of(row.get("error")) or "the API did not accept it"
            ended.append(target.ended(Outcome.FAILED, why[:300]))
    return ended


def message_of(kind: str, target: Target, disposition: str, escalated: str | None) -> Body:
    """The message of a submission as the API wants it."""
    facts = target.facts
    if kind == "reclassification":
        body = {"alert_id": facts["alert_id"], "expected_disposition": disposition}
    else:
        body = {
            "postfix_id": facts["postfix_id"],
            "message_id": facts["message_id"],
            "recipient_emails": facts["recipients"],
            "expected_disposition": disposition,
        }
    return body if escalated is None else {**body, "escalated_submission_id": escalated}


def submission_in(target: Target, disposition: str, rows: Sequence[Body]) -> str | None:
    """The id of the submission among *rows* that the request for *target* made; ``None`` if there is none."""
    sent = sent_at(target)
    for row in rows:
        requested = parse_moment(row.get("requested_at"))
        same = row.get("original_postfix_id") == target.facts.get("postfix_id")
        wanted = row.get("requested_disposition") == disposition
        if same and wanted and requested is not None and requested >= sent:
            return text_of(row.get("submission_id")) or "unknown"
    return None


def logged(target: Target, kind: Kind, parameters: Mapping[str, object], log: object) -> Target | None:
    """The target by the entries of its action log since the request; ``None`` where they do not tell."""
    sent = sent_at(target)
    found = []
    for entry in log if isinstance(log, list) else []:
        if not isinstance(entry, dict) or entry.get("operation") != _LOGGED[kind]:
            continue
        at = parse_moment(entry.get("started_at")) or parse_moment(entry.get("completed_at"))
        properties = entry.get("properties")
        named = properties if isinstance(properties, dict) else {}
        if at is None or at < sent or not _is_this(kind, parameters, named):
            continue
        found.append(entry)
    if not found:
        return None
    failed = [text_of(entry.get("status")) or "failed" for entry in found if entry.get("success") is False]
    if not failed:
        return target.ended(Outcome.SUCCEEDED, "seen in the action log")
    recipients = [
        *(Recipient("", Outcome.FAILED, f"action log: {why}") for why in failed),
        *(Recipient("", Outcome.SUCCEEDED, "seen in the action log") for _ in found[len(failed) :]),
    ]
    return _ended(target, recipients)


def sent_at(target: Target) -> datetime:
    """From when on traces in the API can be those of the request for *target*."""
    return datetime.fromisoformat(target.facts["sent_at"]).replace(microsecond=0) - _CLOCKS


def _is_this(kind: Kind, parameters: Mapping[str, object], named: Mapping[str, object]) -> bool:
    """Whether an entry with these properties can be of that request; what the API leaves out fits."""
    if kind is Kind.MOVE:
        return named.get("folder") in {None, parameters["destination"]}
    if kind is Kind.SUBMIT:
        return named.get("requested_disposition") in {None, parameters["expected_disposition"]}
    return True


def _submission_name(target: Target) -> str:
    return str(target.facts.get("alert_id") or target.facts.get("postfix_id"))


def _ended(target: Target, recipients: Sequence[Recipient]) -> Target:
    if not recipients:
        return target.ended(Outcome.UNKNOWN, NO_ROW)
    good = any(one.state is Outcome.SUCCEEDED for one in recipients)
    bad = next((one.detail for one in recipients if one.state is Outcome.FAILED), "")
    return target.ended(Outcome.SUCCEEDED if good else Outcome.FAILED, bad, recipients)
