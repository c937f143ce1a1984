"""Ingestion: events of the connector's journal become containers and artifacts."""

from collections.abc import Iterator
from typing import Any

from soar_sdk.logging import getLogger
from soar_sdk.models.artifact import Artifact
from soar_sdk.models.container import Container
from soar_sdk.params import OnPollParams

from .asset import NEW, Asset
from .client import Client, RefusedError
from .outputs import MESSAGE_ID

PAGE = 200
"""Events of one request."""
MOST_PAGES = 50
"""Requests of one poll: it ends within the timeout of the platform, and the next one goes on."""
MOST_REMEMBERED = 2000
"""Messages that have a container, remembered so that a corrected verdict reaches it."""
LONGEST_SUBJECT = 200
"""Characters of a subject in the name of a container."""
SEVERITIES = {"MALICIOUS": "high", "SUSPICIOUS": "medium", "SPOOF": "medium"}
"""Severity of a container by verdict; low for others."""

MESSAGES = "investigate"
"""Source of events that are messages; others are submissions and audit logs, whose ids no action takes."""

logger = getLogger()


def poll(params: OnPollParams, client: Client, asset: Asset) -> Iterator[Container | Artifact]:
    """Containers and artifacts for what is new; "Poll now" shows what is kept, and moves no cursor."""
    manual = params.is_manual_poll()
    state = asset.ingest_state
    known = dict.fromkeys([] if manual else state.get("known", []))
    after = None if manual else state.get("after")
    from_head = after is None and not manual and asset.first_poll == NEW
    room = max(1, int(params.container_count) if manual else asset.max_containers)
    for _ in range(MOST_PAGES):
        page = pull(client, asset, after, from_head=from_head)
        for event in page["events"]:
            if room == 0:
                # Only what was used is behind the cursor.
                break
            after = event["sequence"]
            if event["source"] != MESSAGES:
                continue
            key = f"{event['account']}/{event['id']}"
            verdict = verdict_of(event)
            is_new = key not in known
            if is_new and (event["gone"] or not is_wanted(verdict, asset.verdicts)):
                continue
            room -= is_new
            known[key] = None
            yield container_of(event, key, verdict)
            yield artifact_of(event, verdict, run_automation=is_new)
        else:
            after = page["next"]
            from_head = False
        if room == 0 or after >= page["head"]:
            break
    if not manual:
        # Stored together, once everything above is in the platform: what fails is read again.
        state["after"] = after
        state["known"] = list(known)[-MOST_REMEMBERED:]


def pull(client: Client, asset: Asset, after: int | None, *, from_head: bool) -> dict[str, Any]:
    """One page of events; where the connector has another journal, its first."""
    query = {"search": asset.search, "limit": PAGE, "from": "head" if from_head else None}
    try:
        page = client.call("GET", "/v1/events", query={**query, "after": after})
    except RefusedError as error:
        if error.code != "cursor_ahead":
            raise
        logger.info("%s. Beginning with the first event of the new journal", error.message)
        page = client.call("GET", "/v1/events", query=query)
    if page["skipped"]:
        logger.info(
            "%s events were no longer in the connector's journal; poll more often or extend its state.retain",
            page["skipped"],
        )
    if page["withheld"]:
        logger.info("%s events of messages outside the caller's scope were left out", page["withheld"])
    return page


def is_wanted(verdict: str, wanted: str) -> bool:
    """Whether messages with *verdict* get a container."""
    names = {name.strip().upper() for name in wanted.split(",")} - {""}
    return not names or "*" in names or verdict in names


def verdict_of(event: dict[str, Any]) -> str:
    """The verdict; NONE for messages without a detection."""
    return str(event["event"].get("final_disposition") or "NONE")


def container_of(event: dict[str, Any], key: str, verdict: str) -> Container:
    """The container of a message; the platform finds the one that exists by its source_data_identifier."""
    record = event["event"]
    return Container(
        name=f"{verdict} email: {str(record.get('subject') or '(no subject)')[:LONGEST_SUBJECT]}",
        description="A message of Cloudflare Email Security",
        source_data_identifier=key,
        severity=SEVERITIES.get(verdict, "low"),
        start_time=str(record.get("scanned_at") or event["collected_at"]),
        data={"account": event["account"], "id": event["id"]},
    )


def artifact_of(event: dict[str, Any], verdict: str, *, run_automation: bool) -> Artifact:
    """The artifact of one state of a message. A later state starts no playbook again."""
    record = event["event"]
    fields = {
        "cloudflareEmailId": event["id"],
        "cloudflareEmailAccount": event["account"],
        "verdict": verdict,
        "gone": str(event["gone"]).lower(),
        "fromEmail": record.get("from"),
        "toEmail": record.get("client_recipients") or record.get("to"),
        "emailSubject": record.get("subject"),
        "internetMessageId": record.get("message_id"),
        "sourceAddress": record.get("smtp_helo_server_ip"),
        "deliveryStatus": record.get("delivery_status"),
        "quarantined": record.get("is_quarantined"),
        "alertId": record.get("alert_id"),
    }
    return Artifact(
        name=f"Verdict {verdict}" if not event["gone"] else "Message no longer known to Cloudflare",
        label="email",
        severity=SEVERITIES.get(verdict, "low"),
        source_data_identifier=event["identity"],
        cef={name: flat(value) for name, value in fields.items() if value not in (None, "", [])},
        cef_types={
            "cloudflareEmailId": [MESSAGE_ID],
            "fromEmail": ["email"],
            "toEmail": ["email"],
            "internetMessageId": ["internet message id"],
            "sourceAddress": ["ip"],
        },
        data=event,
        run_automation=run_automation,
    )


def flat(value: object) -> str:
    """A value of a CEF field: text."""
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
