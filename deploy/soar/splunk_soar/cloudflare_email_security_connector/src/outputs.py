"""The data of action results, as the platform shows it and playbooks find it."""

from soar_sdk.action_results import ActionOutput, OutputField

MESSAGE_ID = "cloudflare email message id"
ACTION_ID = "cloudflare email action id"
BLOCK_ID = "cloudflare email block id"
"""Types of values by which the platform offers further actions on them."""


class ResultRow(ActionOutput):
    """What became of a message for a recipient, or of a sender."""

    id: str = OutputField(cef_types=[MESSAGE_ID], column_name="Message")
    recipient: str = OutputField(cef_types=["email"], column_name="Recipient")
    state: str = OutputField(
        example_values=["succeeded", "failed", "unknown", "planned", "pending"], column_name="State"
    )
    detail: str = OutputField(column_name="Detail")


class ActionData(ActionOutput):
    """An action of the connector."""

    id: str = OutputField(cef_types=[ACTION_ID])
    number: int
    action: str = OutputField(example_values=["move", "release", "submit", "block", "unblock"])
    state: str = OutputField(
        example_values=["succeeded", "partial", "failed", "awaiting_approval", "unknown"]
    )
    ended: bool
    account: str
    caller: str
    request_id: str
    reason: str
    dry_run: bool
    requested_at: str
    changed_at: str
    approval: str = OutputField(example_values=["none", "second_caller", "operator"])
    approved_by: str
    detail: str
    destination: str | None
    type: str | None
    expected_disposition: str | None
    pattern: str | None = OutputField(cef_types=["email", "domain", "ip"])
    pattern_type: str | None
    is_regex: bool | None
    block_id: str | None = OutputField(cef_types=[BLOCK_ID])
    expires_at: str | None
    results: list[ResultRow]


class ActionSummary(ActionOutput):
    """Where an action is, in one line."""

    action_id: str = OutputField(cef_types=[ACTION_ID])
    state: str
    ended: bool
    succeeded: int
    failed: int
    unknown: int


class MessageData(ActionOutput):
    """A message; further fields are those of Cloudflare's API."""

    id: str = OutputField(cef_types=[MESSAGE_ID], column_name="Id")
    scanned_at: str = OutputField(column_name="Scanned")
    final_disposition: str = OutputField(example_values=["MALICIOUS", "SPAM", "NONE"], column_name="Verdict")
    # The API's name is a keyword of Python.
    from_: str = OutputField(alias="from", cef_types=["email"], column_name="From")
    to: list[str] = OutputField(cef_types=["email"])
    client_recipients: list[str] = OutputField(cef_types=["email"])
    subject: str = OutputField(column_name="Subject")
    message_id: str = OutputField(cef_types=["internet message id"])
    alert_id: str
    delivery_status: list[str]
    is_quarantined: bool
    smtp_helo_server_ip: str = OutputField(cef_types=["ip"])


class SearchSummary(ActionOutput):
    """How complete a search is."""

    messages: int
    truncated: bool
    withheld: int


class DetailedMessage(ActionOutput):
    """A message, and what further endpoints say of it."""

    message: MessageData
    incomplete: list[str]


class ListSummary(ActionOutput):
    """A page of the list of actions."""

    actions: int
    next: int
