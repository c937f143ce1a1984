"""What a journal says when it refuses an operation: the errors of both databases, worded once."""

from __future__ import annotations

from collections.abc import Iterable

from connector.errors import DeadLettersFull, JournalError, JournalFull, Moved
from connector.journal.codec import to_moment
from connector.model import Feed, Step, StoredAction


def backlog_full(outputs: tuple[str, ...]) -> JournalFull:
    """The *outputs* pause collection."""
    return JournalFull(
        f"the backlog of {', '.join(outputs)} is over its limit; collection resumes when it is delivered, "
        "or raise backlog.max_bytes, or set backlog.when_full: skip",
        outputs,
    )


def dead_letters_full(output: str, count: int, most: int) -> DeadLettersFull:
    """The *output* has *count* dead letters and may have *most*."""
    return DeadLettersFull(
        f"{output} has {count} dead letters, and its limit is {most}; see `deadletters list`, then "
        "replay or purge them, or raise dead_letters.max",
        (output,),
    )


def not_acknowledged(output: str, position: int | None, after: int, upto: int, head: int) -> JournalError:
    """The *position* (``None``: no such output) is not *after*, or *upto* is not between it and *head*."""
    if position != after:
        return Moved(
            f"the position of {output} is {'unknown' if position is None else position}, not {after}"
        )
    return JournalError(f"{output} cannot acknowledge {upto}: it is at {after}, the journal at {head}")


def position_moved(output: str) -> Moved:
    """The position was moved under the reader of *output*."""
    return Moved(f"the position of {output} was moved; attach again to learn it")


def unknown_output(output: str, known: Iterable[str]) -> JournalError:
    """There is no *output*, but the *known* ones."""
    return JournalError(f"no output is named {output}; known: {', '.join(known) or 'none'}")


def feed_forgotten(feed: Feed) -> Moved:
    """The commit is of a former generation of *feed*."""
    return Moved(f"{feed} was forgotten; ask for its progress to begin anew")


def checkpoint_moved(feed: Feed, step: Step, stored: int | None) -> Moved:
    """The checkpoint is at *stored* (microseconds; ``None``: there is none), not where *step* starts."""
    at = "nowhere" if stored is None else to_moment(stored).isoformat()
    return Moved(f"the checkpoint {step.sweep} of {feed} is at {at}, not at {step.since}")


def action_changed(action: StoredAction) -> Moved:
    """The stored row has another version than *action*."""
    return Moved(f"the action {action.id} is not at version {action.version}")


def request_id_used(action: StoredAction) -> Moved:
    """The caller has another action with this request id."""
    return Moved(f"{action.caller} used the request id {action.request_id!r} before")
