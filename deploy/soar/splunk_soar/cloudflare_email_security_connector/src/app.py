"""The app: its actions, as the platform offers them to analysts and playbooks."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from soar_sdk.action_results import ActionResult
from soar_sdk.app import App
from soar_sdk.logging import getLogger
from soar_sdk.models.artifact import Artifact
from soar_sdk.models.container import Container
from soar_sdk.params import OnPollParams, Param, Params

from .asset import Asset
from .client import Client, NoAnswerError, segment
from .outputs import (
    ACTION_ID,
    BLOCK_ID,
    MESSAGE_ID,
    ActionData,
    ActionSummary,
    DetailedMessage,
    ListSummary,
    MessageData,
    SearchSummary,
)
from .polling import poll

DISPOSITIONS = ["MALICIOUS", "SUSPICIOUS", "SPOOF", "SPAM", "BULK", "NONE"]
DESTINATIONS = ["Inbox", "JunkEmail", "DeletedItems", "RecoverableItemsDeletions", "RecoverableItemsPurges"]
STATES = [
    "accepted", "awaiting_approval", "running", "succeeded", "partial", "failed", "unknown", "cancelled",
    "expired",
]  # fmt: skip

logger = getLogger()


class ConnectorApp(App):
    """An app that knows which action run it serves."""

    action_run_id = 0

    def handle(self, raw_input_data: str, handle: int | None = None) -> str:
        """Keep the id of the action run, which the SDK hands to no action, and run it."""
        self.action_run_id = json.loads(raw_input_data).get("action_run_id", 0)
        return super().handle(raw_input_data, handle)

    __call__ = handle


app = ConnectorApp(
    name="Cloudflare Email Security Connector",
    app_type="email",
    logo="logo.svg",
    logo_dark="logo_dark.svg",
    product_vendor="Cloudflare",
    product_name="Email Security",
    publisher="The maintainers of cloudflare-email-connector",
    appid="5d1f3c52-6a0e-4f0b-9a52-3c2b5e0f6d71",
    python_version="3.13",
    asset_cls=Asset,
)

of_actions = partial(app.action, output_class=ActionData, summary_type=ActionSummary, render_as="table")
"""Registers what answers with response actions."""


class Acting(Params):
    """Parameters of everything that changes something."""

    reason: str = Param(description="Why, for the audit trail: a ticket, a playbook and its run")
    account: str | None = Param(
        description="Name of the account in the connector's configuration. "
        "May be left out where the caller has one"
    )
    request_id: str | None = Param(
        description="Your name of this request: under one name it is carried out once. "
        "Default: made of the action run and its parameters, so that a repeated run does nothing twice"
    )
    dry_run: bool | None = Param(
        description="Only tell what would be done. Default: no, but yes for a move to RecoverableItemsPurges"
    )


def ids_field() -> Any:
    """The parameter of actions on messages."""
    return Param(
        description="Ids of messages, separated by commas",
        primary=True,
        cef_types=[MESSAGE_ID],
        allow_list=True,
    )


class MoveParams(Acting):
    """Parameters of move message."""

    ids: str = ids_field()
    destination: str = Param(
        description="Folder. RecoverableItemsDeletions is a soft delete, RecoverableItemsPurges a hard one",
        value_list=DESTINATIONS,
    )


class ReleaseParams(Acting):
    """Parameters of release message."""

    ids: str = ids_field()


class SubmitParams(Acting):
    """Parameters of submit message."""

    ids: str = ids_field()
    type: str = Param(
        description="What is wrong with the verdict: reclassification for messages with a detection, "
        "missed_detection for others",
        value_list=["reclassification", "missed_detection"],
    )
    expected_disposition: str = Param(description="The verdict it should have", value_list=DISPOSITIONS)
    escalated_submission_id: str | None = Param(
        description="The user's submission that this one escalates; with one id only"
    )


class BlockParams(Acting):
    """Parameters of block sender."""

    pattern: str = Param(
        description="Address, domain, or IP address or network",
        primary=True,
        cef_types=["email", "domain", "ip"],
    )
    pattern_type: str = Param(description="What the pattern is", value_list=["EMAIL", "DOMAIN", "IP"])
    is_regex: bool | None = Param(description="Whether the pattern is a regular expression")
    expires_in: int | None = Param(
        description="Seconds until the connector unblocks it again. Default: never"
    )


class UnblockParams(Acting):
    """Parameters of unblock sender."""

    block_id: str = Param(
        description="The block_id of the action that blocked", primary=True, cef_types=[BLOCK_ID]
    )


class GetActionParams(Params):
    """Parameters of get action."""

    action_id: str = Param(description="Id of the action", primary=True, cef_types=[ACTION_ID])
    timeout: int = Param(
        description="Seconds to wait for its end, also while it awaits approval; 0 only looks", default=300
    )


class CancelParams(Params):
    """Parameters of cancel action."""

    action_id: str = Param(description="Id of the action", primary=True, cef_types=[ACTION_ID])


class ListActionsParams(Params):
    """Parameters of list actions."""

    after: int | None = Param(description="Number of the last action you have (next in the summary)")
    limit: int | None = Param(description="Most actions of the answer. Default: 100")
    state: str | None = Param(description="Only actions in this state", value_list=STATES)


class GetMessageParams(Params):
    """Parameters of get message."""

    message_id: str = Param(description="Id of the message", primary=True, cef_types=[MESSAGE_ID])
    account: str | None = Param(description="Name of the account. May be left out where the caller has one")
    details: str | None = Param(
        description="What further endpoints say of it, separated by commas: detections, trace, action_log",
        allow_list=True,
    )


class SearchParams(Params):
    """Parameters of search messages."""

    query: str | None = Param(
        description="Words in sender, recipient, subject, attachment names, hashes, Message-ID"
    )
    message_id: str | None = Param(
        description="The header Message-ID, angle brackets included", cef_types=["internet message id"]
    )
    sender: str | None = Param(description="Address or domain of the sender", cef_types=["email", "domain"])
    recipient: str | None = Param(
        description="Address or domain of a recipient", cef_types=["email", "domain"]
    )
    subject: str | None = Param(description="Words in the subject, in any order")
    domain: str | None = Param(
        description="Domain of the sender, of a recipient, or in a link", cef_types=["domain"]
    )
    alert_id: str | None = Param(description="One alert")
    smtp_helo_ip: str | None = Param(
        description="IP address of the SMTP server that sent HELO", cef_types=["ip"]
    )
    final_disposition: str | None = Param(description="Verdict", value_list=DISPOSITIONS)
    delivery_status: str | None = Param(
        description="Delivery status",
        value_list=[
            "delivered", "moved", "quarantined", "rejected", "deferred", "bounced", "queued", "move_failed",
        ],
    )  # fmt: skip
    message_action: str | None = Param(
        description="Action taken after delivery", value_list=["PREVIEW", "QUARANTINE_RELEASED", "MOVED"]
    )
    detections_only: bool | None = Param(description="Only messages with a detection")
    start: str | None = Param(
        description="Scanned at this time or later, such as 2026-11-18T09:41:07Z. Default: 30 days before end"
    )
    end: str | None = Param(description="Scanned before this time. Default: now")
    limit: int | None = Param(description="Most messages of the answer. Default: 100")
    account: str | None = Param(description="Name of the account. May be left out where the caller has one")


@app.test_connectivity()
def test_connectivity(asset: Asset) -> None:
    """Check that the connector knows the token."""
    with Client(asset) as client:
        caller = client.call("GET", "/v1/caller")
    logger.info(
        "Connector %s knows this SOAR as %s. It may: %s",
        caller["version"],
        caller["caller"],
        ", ".join(caller["may"]),
    )
    if "events" not in caller["may"]:
        logger.info("It cannot ingest: add events to its may in the connector's configuration")


@app.on_poll()
def on_poll(params: OnPollParams, asset: Asset) -> Iterator[Container | Artifact]:
    """Ingest messages: one container each, and one artifact for each state of the message."""
    with Client(asset) as client:
        yield from poll(params, client, asset)


@app.action(
    action_type="investigate",
    read_only=True,
    output_class=MessageData,
    summary_type=SearchSummary,
    render_as="table",
)
def search_messages(params: SearchParams, asset: Asset):
    """Search messages; those outside the caller's scope are left out and counted."""
    with Client(asset) as client:
        answer = client.call("GET", "/v1/messages", query=params.model_dump())
    found = len(answer["messages"])
    text = f"{found} messages"
    if answer["truncated"]:
        text += "; there are more: narrow the time or the filters"
    if answer["withheld"]:
        text += f"; {answer['withheld']} are outside the caller's scope"
    summary = {"messages": found, "truncated": answer["truncated"], "withheld": answer["withheld"]}
    return result(params, answer["messages"], text, summary)


@app.action(action_type="investigate", read_only=True, output_class=DetailedMessage, render_as="json")
def get_message(params: GetMessageParams, asset: Asset):
    """Get one message as it is now, and what further endpoints say of it."""
    query = {"account": params.account, "with": ",".join(items(params.details))}
    with Client(asset) as client:
        answer = client.call("GET", f"/v1/messages/{segment(params.message_id)}", query=query)
    text = answer["message"].get("final_disposition") or "no verdict"
    if answer["incomplete"]:
        text += f"; no answer about {', '.join(answer['incomplete'])}"
    return result(params, [answer], text)


@of_actions(action_type="contain", read_only=False)
def move_message(params: MoveParams, asset: Asset):
    """Move messages to a folder of their recipients' mailboxes."""
    return act(asset, "POST", "/v1/messages/move", params)


@of_actions(action_type="correct", read_only=False)
def release_message(params: ReleaseParams, asset: Asset):
    """Release messages from quarantine."""
    return act(asset, "POST", "/v1/messages/release", params)


@of_actions(action_type="generic", read_only=False)
def submit_message(params: SubmitParams, asset: Asset):
    """Submit messages for review by Cloudflare: a missed detection, or a wrong one."""
    return act(asset, "POST", "/v1/submissions", params)


@of_actions(action_type="contain", read_only=False)
def block_sender(params: BlockParams, asset: Asset):
    """Block a sender for the whole account."""
    return act(asset, "POST", "/v1/senders/block", params)


@of_actions(action_type="correct", read_only=False)
def unblock_sender(params: UnblockParams, asset: Asset):
    """Unblock a sender that the connector blocked."""
    return act(asset, "DELETE", f"/v1/senders/block/{segment(params.block_id)}", params)


@of_actions(action_type="investigate", read_only=True)
def get_action(params: GetActionParams, asset: Asset):
    """Get an action, and wait for its end; succeeds if the action succeeded, or if it was only looked at."""
    with Client(asset) as client:
        action = client.call("GET", f"/v1/actions/{segment(params.action_id)}")
        action = client.follow(action, params.timeout, through_approval=True)
    return outcome(params, action, success=action["state"] == "succeeded" or params.timeout == 0)


@of_actions(action_type="investigate", read_only=True, summary_type=ListSummary)
def list_actions(params: ListActionsParams, asset: Asset):
    """List the caller's actions, oldest first."""
    with Client(asset) as client:
        page = client.call("GET", "/v1/actions", query=params.model_dump())
    count = len(page["actions"])
    return result(params, page["actions"], f"{count} actions", {"actions": count, "next": page["next"]})


@of_actions(action_type="correct", read_only=False)
def cancel_action(params: CancelParams, asset: Asset):
    """Cancel an action that has not begun, such as one that awaits approval."""
    with Client(asset) as client:
        action = client.call("POST", f"/v1/actions/{segment(params.action_id)}/cancel")
    return outcome(params, action, success=action["state"] == "cancelled")


def act(asset: Asset, method: str, path: str, params: Acting) -> ActionResult:
    """Request an action and wait for its end, but not for an approval."""
    body = {
        name: value
        for name, value in params.model_dump(exclude={"block_id"}).items()
        if value not in (None, "")
    }
    if "ids" in body:
        body["ids"] = items(body["ids"])
    body.setdefault("request_id", request_id(asset, method, path, body))
    with Client(asset) as client:
        try:
            # Without wait: an action that awaits approval is answered at once.
            action = client.call(method, path, **{"query" if method == "DELETE" else "body": body})
        except NoAnswerError as error:
            raise NoAnswerError(
                f"{error.message}. Whether it is carried out is unknown; "
                f"ask again with the request_id {body['request_id']}, and it is carried out once"
            ) from None
        action = client.follow(action, asset.action_timeout, through_approval=False)
    return outcome(params, action, success=action["state"] == "succeeded")


def request_id(asset: Asset, method: str, path: str, body: dict[str, Any]) -> str:
    """A name that is the same when the platform repeats an action run, and another one for another run.

    An action run has several sets of parameters where a playbook passes lists, hence the digest. It is not
    made of the container: a later run on it means it again, such as blocking what was unblocked meanwhile.
    """
    told = json.dumps([asset.url, app.soar_client.get_asset_id(), method, path, body], sort_keys=True)
    return f"splunk-soar-{app.action_run_id}-{hashlib.sha256(told.encode()).hexdigest()[:32]}"


def outcome(params: Params, action: dict[str, Any], *, success: bool) -> ActionResult:
    """An action as the result of an action run."""
    rows = Counter(row["state"] for row in action["results"])
    summary = {
        "action_id": action["id"],
        "state": action["state"],
        "ended": action["ended"],
        "succeeded": rows["succeeded"],
        "failed": rows["failed"],
        "unknown": rows["unknown"],
    }
    text = f"{action['action']} is {action['state']}"
    if action["dry_run"]:
        text += " (dry run: nothing was changed)"
    if action["results"]:
        text += f": {', '.join(f'{count} {state}' for state, count in sorted(rows.items()))}"
    details = dict.fromkeys([action["detail"], *(row["detail"] for row in action["results"])])
    text = "; ".join([text, *[detail for detail in details if detail][:3]])
    if not action["ended"]:
        text += f". Follow it with get action, action_id {action['id']}"
    return result(params, [action], text, summary, success=success)


def result(
    params: Params,
    data: list[dict[str, Any]],
    message: str,
    summary: dict[str, Any] | None = None,
    *,
    success: bool = True,
) -> ActionResult:
    """A result with data, also where it failed: the SDK's own way to fail has none."""
    told = ActionResult(success, message, param=params.model_dump())
    for one in data:
        told.add_data(one)
    if summary is not None:
        told.set_summary(summary)
    return told


def items(text: str | None) -> list[str]:
    """The items of a list as the platform writes it."""
    return [item.strip() for item in (text or "").split(",") if item.strip()]


if __name__ == "__main__":
    app.cli()
