"""Finds out, by reading, what became of requests without an answer. It never sends anything again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from connector.actions.action import Action, Kind, Outcome, Target
from connector.actions.answers import NO_ROW, logged, sent_at, submission_in
from connector.errors import SourceError
from connector.interfaces import ActionApi
from connector.model import Body


async def reconcile(action: Action, api: ActionApi, settle: timedelta) -> dict[str, Target]:
    """Return the targets whose outcome is known now, by id.

    A target without a trace *settle* after its request counts as failed. What cannot be read stays unknown.
    """
    known: dict[str, Target] = {}
    rows = await _submissions(action, api)
    for target in action.targets:
        if target.state is not Outcome.UNKNOWN:
            continue
        try:
            found = await _look_up(action, target, rows, api)
        except SourceError:
            continue
        if found is None and _is_over(target, api.now(), settle):
            minutes = int(settle.total_seconds() / 60)
            why = f"no trace of it within {minutes} minutes; the request was not repeated"
            found = target.ended(Outcome.FAILED, why)
        if found is not None:
            known[target.id] = found
    return known


def _is_over(target: Target, now: datetime, settle: timedelta) -> bool:
    return now - datetime.fromisoformat(target.facts["sent_at"]) > settle


async def _submissions(action: Action, api: ActionApi) -> Sequence[Body]:
    """The submissions since the request; none where the credential may not read them."""
    unknown = [target for target in action.targets if target.state is Outcome.UNKNOWN]
    if action.kind is not Kind.SUBMIT or not unknown:
        return ()
    try:
        return await api.submissions(min(map(sent_at, unknown)))
    except SourceError:
        return ()


async def _look_up(action: Action, target: Target, rows: Sequence[Body], api: ActionApi) -> Target | None:
    if action.kind is Kind.SUBMIT:
        submission = submission_in(target, action.parameters["expected_disposition"], rows)
        if submission is not None:
            return target.ended(Outcome.SUCCEEDED, f"seen as submission {submission}")
    record = await api.get(target.id)
    if record is None:
        # Nothing can have been done to a message that the API neither mentioned in its answer nor knows.
        unknown = target.detail == NO_ROW
        return target.ended(Outcome.FAILED, "the API does not know this message") if unknown else None
    if action.kind is Kind.RELEASE and record.body.get("is_quarantined") is False:
        return target.ended(Outcome.SUCCEEDED, "seen in the record")
    details = await api.details(record, ["action_log"])
    return logged(target, action.kind, action.parameters, details.get("action_log"))
