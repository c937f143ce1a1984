"""The table of operations: what the HTTP API offers. Routes, parsing and API documents are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from connector.actions.fields import Field
from connector.api_values import DELIVERY_STATUSES, DESTINATIONS, DISPOSITIONS, PATTERN_TYPES
from connector.model import JsonObject

Method: TypeAlias = Literal["GET", "POST", "DELETE"]

LONGEST_WAIT: Final = 30
"""Seconds that an answer may be waited for: below the usual timeout of a proxy."""

MOST_EVENTS: Final = 1000
ENDPOINTS: Final = ("detections", "trace", "action_log")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Args:
        id: name in the API documents, and of the handler.
        method: HTTP method.
        path: with parameters in braces.
        permission: what a caller must have; empty for every caller, ``None`` for anybody.
        summary: one line.
        description: more, for people who connect a platform.
        answers: schema of the answer by status of success; *media* for one that is not JSON.
        path_fields: parameters of the path.
        query: parameters of the query.
        body: members of the JSON body; ``None`` without one.
        refusals: statuses of refusals besides 400, 401, 403, 422, 429 and 503.
        media: type of the answer.
        destructive: whether it changes something.
    """

    id: str
    method: Method
    path: str
    permission: str | None
    summary: str
    description: str
    answers: Mapping[int, str]
    path_fields: tuple[Field, ...] = ()
    query: tuple[Field, ...] = ()
    body: tuple[Field, ...] | None = None
    refusals: tuple[int, ...] = ()
    media: str = "application/json"
    destructive: bool = False


_ACCOUNT = Field(
    "account",
    "string",
    "Name of the account in the connector's configuration. May be left out where the caller has one account.",
    most=64,
    example="prod",
)
EXAMPLE_ID: Final = "4Njp3P0STMz2c02Q-2026-11-18T09:41:07-2a539d65"
_ID = "[!-.0-~]+"
"""Ids are printable ASCII. A slash would be another path of Cloudflare's API."""

_IDS = Field(
    "ids",
    "strings",
    "Ids of messages, as in the member id of a message. Duplicates count once.",
    required=True,
    pattern=_ID,
    example=[EXAMPLE_ID],
)
_REASON = Field(
    "reason",
    "string",
    "Why, for the audit trail: a ticket, a playbook and its run.",
    required=True,
    least=3,
    most=500,
    example="SOC-4711: phishing reported by finance",
)
_REQUEST_ID = Field(
    "request_id",
    "string",
    "Your name of this request. The same request under the same name is carried out once, however often it is sent; "
    "another request under the same name is refused with 409. The header Idempotency-Key is the same. Set it.",
    most=200,
    pattern=r"[!-~]+",
    example="playbook-12-run-345-step-2",
)
_DRY_RUN = Field(
    "dry_run",
    "boolean",
    "Only tell what would be done; nothing is changed. Default: false, but true for a move to "
    "RecoverableItemsPurges.",
)
_WAIT = Field(
    "wait",
    "string",
    f"Wait for the end, at most {LONGEST_WAIT} seconds, such as 20s. Without it the answer comes at once.",
    pattern="([0-9]|[12][0-9]|30)s?",
    most=3,
    example="20s",
)
_MESSAGE_ID = Field("message_id", "string", "Id of the message.", required=True, most=300, pattern=_ID)
_ACTION_ID = Field(
    "action_id", "string", "Id of the action.", required=True, least=32, most=32, pattern="[0-9a-f]{32}"
)
_BLOCK_ID = Field(
    "block_id", "string", "The member block_id of the action that blocked.", required=True, most=100
)

_FILTERS = (
    Field("query", "string", "Words in sender, recipient, subject, attachment names, hashes, Message-ID."),
    Field("message_id", "string", "The header Message-ID, angle brackets included."),
    Field("sender", "string", "Address or domain of the sender."),
    Field("recipient", "string", "Address or domain of a recipient."),
    Field("subject", "string", "Words in the subject, in any order."),
    Field("domain", "string", "Domain of the sender, of a recipient, or in a link."),
    Field("alert_id", "string", "One alert."),
    Field("smtp_helo_ip", "string", "IP address of the SMTP server that sent HELO."),
    Field("final_disposition", "string", "Verdict.", allowed=DISPOSITIONS),
    Field(
        "delivery_status",
        "string",
        "Delivery status.",
        allowed=DELIVERY_STATUSES,
    ),
    Field(
        "message_action",
        "string",
        "Action taken after delivery.",
        allowed=("PREVIEW", "QUARANTINE_RELEASED", "MOVED"),
    ),
    Field("detections_only", "boolean", "Only messages with a detection. Default: false."),
    Field("start", "time", "Scanned at this time or later. Default: 30 days before end."),
    Field("end", "time", "Scanned before this time. Default: now."),
    Field("limit", "integer", "Most messages of the answer. Default: 100."),
)  # fmt: skip

_ACTING = (
    "Needs a caller with the permission for it. Answered with 202 and the action; read it again at Location, "
    "or add wait. One result per message and recipient; one failure never stops the others."
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "get_caller", "GET", "/v1/caller", "",
        "Show who you are and what you may do",
        "Use it to test the connection.",
        {200: "Caller"},
    ),
    Operation(
        "search_messages", "GET", "/v1/messages", "search",
        "Search messages",
        "Every filter of the API. Messages outside your scope are left out and counted as withheld. Where truncated "
        "is true there are more: narrow the time or the filters.",
        {200: "Messages"}, query=(_ACCOUNT, *_FILTERS), refusals=(502,),
    ),
    Operation(
        "get_message", "GET", "/v1/messages/{message_id}", "get",
        "Get one message",
        "The record as it is now; with: what further endpoints say of it.",
        {200: "Message"}, path_fields=(_MESSAGE_ID,),
        query=(
            _ACCOUNT,
            Field("with", "strings", "Further endpoints, separated by commas.", allowed=ENDPOINTS, most=3,
                  example=["detections"]),
        ),
        refusals=(404, 502),
    ),
    Operation(
        "get_message_preview", "GET", "/v1/messages/{message_id}/preview", "preview",
        "Get a picture of a message",
        "A PNG image, safe to show.",
        {200: "binary"}, path_fields=(_MESSAGE_ID,), query=(_ACCOUNT,), refusals=(404, 502), media="image/png",
    ),
    Operation(
        "get_message_raw", "GET", "/v1/messages/{message_id}/raw", "raw",
        "Download a message as received",
        "The whole message, possibly malicious: as a file to download, never to show. Only of messages with a "
        "detection.",
        {200: "binary"}, path_fields=(_MESSAGE_ID,), query=(_ACCOUNT,), refusals=(404, 502),
        media="application/octet-stream",
    ),
    Operation(
        "move_messages", "POST", "/v1/messages/move", "move",
        "Move messages to a folder",
        f"Repeating it changes nothing. {_ACTING}",
        {200: "Action", 202: "Action"}, query=(_WAIT,),
        body=(
            _ACCOUNT, _IDS,
            Field("destination", "string", "Folder. RecoverableItemsDeletions is a soft delete, "
                  "RecoverableItemsPurges a hard one.", required=True, allowed=DESTINATIONS),
            _REASON, _REQUEST_ID, _DRY_RUN,
        ),
        refusals=(409,), destructive=True,
    ),
    Operation(
        "release_messages", "POST", "/v1/messages/release", "release",
        "Release messages from quarantine",
        f"Messages that are not in quarantine fail; none is ever released twice by one request. {_ACTING}",
        {200: "Action", 202: "Action"}, query=(_WAIT,), body=(_ACCOUNT, _IDS, _REASON, _REQUEST_ID, _DRY_RUN),
        refusals=(409,), destructive=True,
    ),
    Operation(
        "submit_messages", "POST", "/v1/submissions", "submit",
        "Submit messages for review by Cloudflare",
        "reclassification for messages with a detection, missed_detection for others. None is ever submitted twice "
        f"by one request. {_ACTING}",
        {200: "Action", 202: "Action"}, query=(_WAIT,),
        body=(
            _ACCOUNT,
            Field("type", "string", "What is wrong with the verdict.", required=True,
                  allowed=("reclassification", "missed_detection")),
            _IDS,
            Field("expected_disposition", "string", "The verdict it should have.", required=True,
                  allowed=DISPOSITIONS),
            Field("escalated_submission_id", "string", "The user's submission that this one escalates; with one id "
                  "only.", most=200),
            _REASON, _REQUEST_ID, _DRY_RUN,
        ),
        refusals=(409,), destructive=True,
    ),
    Operation(
        "block_sender", "POST", "/v1/senders/block", "block",
        "Block a sender",
        "A sender that is blocked already is left as it is. With expires_in the connector unblocks it again. "
        f"{_ACTING}",
        {200: "Action", 202: "Action"}, query=(_WAIT,),
        body=(
            _ACCOUNT,
            Field("pattern", "string", "Address, domain, or IP address or network.", required=True, most=1024,
                  example="phish.example"),
            Field("pattern_type", "string", "What the pattern is.", required=True, allowed=PATTERN_TYPES),
            Field("is_regex", "boolean", "Whether the pattern is a regular expression. Default: false."),
            Field("expires_in", "integer", "Seconds until it is unblocked. Default: never.", least=60,
                  most=366 * 86_400),
            _REASON, _REQUEST_ID, _DRY_RUN,
        ),
        refusals=(409,), destructive=True,
    ),
    Operation(
        "unblock_sender", "DELETE", "/v1/senders/block/{block_id}", "block",
        "Unblock a sender that the connector blocked",
        f"Only what the connector blocked can be unblocked here. {_ACTING}",
        {200: "Action", 202: "Action"}, path_fields=(_BLOCK_ID,),
        query=(_ACCOUNT, _REASON, _REQUEST_ID, _DRY_RUN, _WAIT), refusals=(404, 409), destructive=True,
    ),
    Operation(
        "list_actions", "GET", "/v1/actions", "",
        "List actions",
        "Your own, and with the permission approve those of others that you may approve; oldest first. Ask again with "
        "after = next.",
        {200: "Actions"},
        query=(
            Field("after", "integer", "Number of the last action you have. Default: 0.", least=0, most=2**53),
            Field("limit", "integer", "Most actions of the answer. Default: 100.", most=200),
            Field("state", "string", "Only actions in this state.", allowed=(
                "accepted", "awaiting_approval", "running", "succeeded", "partial", "failed", "unknown", "cancelled",
                "expired",
            )),
        ),
    ),
    Operation(
        "get_action", "GET", "/v1/actions/{action_id}", "",
        "Get one action",
        "Its state and the result of every message and recipient.",
        {200: "Action"}, path_fields=(_ACTION_ID,), query=(_WAIT,), refusals=(404,),
    ),
    Operation(
        "approve_action", "POST", "/v1/actions/{action_id}/approve", "approve",
        "Approve an action of another caller",
        "Needs the permission approve, and everything the action itself needs. Nobody approves their own.",
        {200: "Action", 202: "Action"}, path_fields=(_ACTION_ID,), query=(_WAIT,), refusals=(404, 409),
        destructive=True,
    ),
    Operation(
        "cancel_action", "POST", "/v1/actions/{action_id}/cancel", "",
        "Cancel an action that has not begun",
        "Your own, or one that you may approve.",
        {200: "Action"}, path_fields=(_ACTION_ID,), refusals=(404, 409), destructive=True,
    ),
    Operation(
        "pull_events", "GET", "/v1/events", "events",
        "Pull events from the journal",
        "What was collected, in order, for platforms that fetch. Keep next and pass it as after. Events are there for "
        "as long as the journal keeps them (state.retain); what was missed is counted as skipped. Messages outside "
        "your scope are counted as withheld.",
        {200: "Events"},
        query=(
            Field("after", "integer", "The member next of the last answer.", least=0, most=2**53),
            Field("from", "string", "Where to begin without after: beginning (the oldest that is kept, default) or "
                  "head (only what is new from now on).", allowed=("beginning", "head")),
            Field("limit", "integer", "Most events of the answer. Default: 100.", most=MOST_EVENTS),
            Field("search", "string", "Only events of this search. $actions: audit events of actions.", most=64),
            Field("output-mapping", "string", "Mapping that makes the event, such as ecs. Default: the record as the "
                  "API sent it.", most=64),
            _WAIT,
        ),
        refusals=(409,),
    ),
    Operation(
        "get_openapi", "GET", "/openapi.json", None,
        "This document as OpenAPI 3.0", "For platforms that import an API by its address.", {200: "Document"},
    ),
    Operation(
        "get_swagger", "GET", "/swagger.json", None,
        "This document as Swagger 2.0", "For platforms that know nothing newer.", {200: "Document"},
    ),
)  # fmt: skip
"""Every operation, in the order of the documents."""


def _object(help_: str, required: str, **members: JsonObject) -> JsonObject:
    return {"type": "object", "description": help_, "required": required.split(), "properties": members}


def _text(help_: str, **more: object) -> JsonObject:
    return {"type": "string", "description": help_, **more}


def _list(help_: str, items: JsonObject) -> JsonObject:
    return {"type": "array", "description": help_, "items": items}


_NUMBER: Final[JsonObject] = {"type": "integer"}
_TRUTH: Final[JsonObject] = {"type": "boolean"}
_RECORD: Final[JsonObject] = {
    "type": "object",
    "description": "A message as the API of Cloudflare Email Security describes it.",
    "additionalProperties": True,
}
_FREE: Final[JsonObject] = {"type": "object", "additionalProperties": True}
_TEXTS: Final[JsonObject] = {"type": "array", "items": {"type": "string"}}
_STATES: Final = [
    "accepted", "awaiting_approval", "running", "succeeded", "partial", "failed", "unknown", "cancelled", "expired",
]  # fmt: skip

SCHEMAS: Final[Mapping[str, JsonObject]] = MappingProxyType({
    "Action": _object(
        "A requested action.",
        "id number action state ended account caller request_id reason dry_run requested_at changed_at approval "
        "approved_by detail results",
        id=_text("Id of the action."),
        number={**_NUMBER, "description": "Counts up; the cursor of the list."},
        action=_text("What is done.", enum=["move", "release", "submit", "block", "unblock"]),
        state=_text("How far it is.", enum=_STATES),
        ended={**_TRUTH, "description": "Whether the state is final."},
        account=_text("Name of the account."),
        caller=_text("Who requested it."),
        request_id=_text("The caller's name of the request."),
        reason=_text("Why."),
        dry_run={**_TRUTH, "description": "Whether nothing is changed."},
        requested_at=_text("When it was requested.", format="date-time"),
        changed_at=_text("When it entered its state.", format="date-time"),
        approval=_text("Who has to approve it.", enum=["none", "second_caller", "operator"]),
        approved_by=_text("Who did; empty if nobody."),
        detail=_text("Why it is in this state, where there is something to say."),
        destination=_text("Of a move.", nullable=True),
        type=_text("Of a submission.", nullable=True),
        expected_disposition=_text("Of a submission.", nullable=True),
        pattern=_text("Of a blocked sender.", nullable=True),
        pattern_type=_text("Of a blocked sender.", nullable=True),
        is_regex={**_TRUTH, "description": "Of a blocked sender.", "nullable": True},
        block_id=_text("Id of the blocked sender.", nullable=True),
        expires_at=_text("When the sender is unblocked.", format="date-time", nullable=True),
        results=_list("One per message and recipient.", {"$ref": "Result"}),
    ),
    "Result": _object(
        "What became of a message for a recipient, or of a sender.",
        "id recipient state detail",
        id=_text("Id of the message, or the pattern of the sender."),
        recipient=_text("Address; empty where the API does not tell them apart."),
        state=_text("pending, or the outcome.", enum=["pending", "succeeded", "failed", "unknown", "planned"]),
        detail=_text("Why."),
    ),
    "Actions": _object(
        "A page of actions.", "actions next",
        actions=_list("Oldest first.", {"$ref": "Action"}),
        next={**_NUMBER, "description": "Pass it as after."},
    ),
    "Messages": _object(
        "The messages found.", "messages truncated withheld",
        messages=_list("In no particular order.", _RECORD),
        truncated={**_TRUTH, "description": "Whether there are more."},
        withheld={**_NUMBER, "description": "Messages outside your scope."},
    ),
    "Message": _object(
        "One message.", "message incomplete",
        message=_RECORD,
        detections=_FREE,
        trace=_FREE,
        action_log=_list("Actions so far.", _FREE),
        incomplete={**_TEXTS, "description": "Endpoints that did not answer."},
    ),
    "Events": _object(
        "A page of events.", "events next head skipped withheld",
        events=_list("In the order of the journal.", {"$ref": "Event"}),
        next={**_NUMBER, "description": "Pass it as after."},
        head={**_NUMBER, "description": "Number of the newest event."},
        skipped={**_NUMBER, "description": "Events after yours that the journal no longer has."},
        withheld={**_NUMBER, "description": "Events of messages outside your scope."},
    ),
    "Event": _object(
        "A message in one state, or a row of another source, or an audit event.",
        "sequence account search source id revision identity collected_at gone event",
        sequence={**_NUMBER, "description": "Its number in the journal."},
        account=_text("Name of the account."),
        search=_text("Name of the search; $actions for audit events."),
        source=_text(
            "What it is: investigate, a message; submissions and audit_logs, whose id no action takes; "
            "actions, an audit event."
        ),
        id=_text("Id of the message."),
        revision={**_NUMBER, "description": "1 at first sight, more after every change."},
        identity=_text("The same for every delivery of this state of the message: deduplicate by it."),
        collected_at=_text("When the connector received it.", format="date-time"),
        gone={**_TRUTH, "description": "Whether the API no longer knows the message."},
        event={**_FREE, "description": "The record, or what the mapping makes of it."},
        line=_text("What a mapping to CEF or LEEF makes of it.", nullable=True),
    ),
    "Caller": _object(
        "Who you are.", "caller version may accounts destinations recipients ids_per_call per_hour approval",
        caller=_text("Your name."),
        version=_text("Version of the connector."),
        may={**_TEXTS, "description": "Your permissions."},
        accounts={**_TEXTS, "description": "Names of your accounts."},
        destinations={**_TEXTS, "description": "Where you may move messages to."},
        recipients={**_TEXTS, "description": "Recipients in your scope."},
        ids_per_call={**_NUMBER, "description": "Most messages of one request."},
        per_hour={**_NUMBER, "description": "Most actions in an hour."},
        approval=_text("Who approves your actions.", enum=["none", "second_caller", "operator"]),
    ),
    "Problem": _object(
        "Why a call was refused (RFC 9457).", "status title code detail",
        status={**_NUMBER, "description": "HTTP status."},
        title=_text("The status in words."),
        code=_text("Short and stable, for programs."),
        detail=_text("What is wrong and what to do."),
        pointer=_text("Where in the request."),
    ),
    "Document": _FREE,
})  # fmt: skip
"""Schemas of answers. ``$ref`` is the name of another one; ``nullable`` is spelled as each document wants it."""
