"""Cortex XSOAR integration: act on messages, fetch events, through the connector's HTTP API."""

import demistomock as demisto
from CommonServerPython import *
from CommonServerUserPython import *

import json
import uuid
from typing import Any
from urllib.parse import quote

WAIT_SECONDS = 20
"""Seconds that the connector may wait for the end of an action (at most 30)."""
SLACK_SECONDS = 20
"""Seconds that an answer may take on top of that."""
PAGE = 200
"""Events of one page."""
MOST_PAGES = 20
"""Pages of one fetch: it ends within the timeout of the platform, and the next one goes on."""
MOST_REMEMBERED = 2000
"""Messages that already have an incident, remembered so that a later change opens no second one."""
SEVERITIES = {"MALICIOUS": 3, "SUSPICIOUS": 2, "SPOOF": 2, "SPAM": 1, "BULK": 1}
"""Severity of an incident (1 low, 2 medium, 3 high) by verdict; 0 (unknown) for others."""
PREFIX = "CloudflareEmail"


class Client(BaseClient):
    """The connector's HTTP API."""

    def call(
        self, method: str, path: str, *, body: dict | None = None, query: dict | None = None
    ) -> dict[str, Any]:
        """Send one request; raise what the connector says of a refusal."""
        return self._http_request(
            method,
            url_suffix=path,
            json_data=body,
            params={name: value for name, value in (query or {}).items() if value not in (None, "")},
            timeout=WAIT_SECONDS + SLACK_SECONDS,
            # Safe for actions, too: each attempt has the same request_id, and is carried out once.
            retries=2,
            status_list_to_retry=[503],
            error_handler=explain,
        )


def explain(response: Any) -> None:
    """Raise what the connector says of a refusal (RFC 9457)."""
    try:
        problem = response.json()
        text = f"{problem['code']}: {problem['detail']}"
        if problem.get("pointer"):
            text += f" (at {problem['pointer']})"
    except (ValueError, KeyError, TypeError):
        text = "no explanation; is this the URL of the connector's actions.listen?"
    raise DemistoException(f"The connector refused the call [{response.status_code}] {text}", res=response)


def test_module(client: Client, params: dict) -> str:
    """Whether the connector knows the token, and lets it fetch if fetching is on."""
    caller = client.call("GET", "/v1/caller")
    if params.get("isFetch") and "events" not in caller["may"]:
        return f"{caller['caller']} may not fetch: add events to its may in the connector's configuration."
    return "ok"


def fetch_incidents(client: Client, params: dict, last_run: dict) -> tuple[dict, list[dict]]:
    """Incidents for the events after *last_run*, one per message, and the run to go on from.

    Submissions and audit logs, which the connector may collect too, are no messages: no command takes
    their ids.
    """
    limit = min(arg_to_number(params.get("max_fetch")) or 50, PAGE)
    verdicts = set(argToList(params.get("verdicts")))
    seen = list(last_run.get("seen", []))
    known = set(seen)
    after = last_run.get("after")
    incidents: list[dict] = []
    for _ in range(MOST_PAGES):
        query = {"after": after, "search": params.get("search"), "limit": limit - len(incidents)}
        if after is None and params.get("first_fetch") != "Everything kept":
            query["from"] = "head"
        page = client.call("GET", "/v1/events", query=query)
        if page["skipped"]:
            demisto.error(
                f"{page['skipped']} events were no longer in the connector's journal; extend its state.retain"
            )
        for event in page["events"]:
            if event["source"] != "investigate":
                continue
            record = event["event"]
            verdict = record.get("final_disposition") or "NONE"
            key = f"{event['account']}/{event['id']}"
            if key in known or event["gone"] or (verdicts and verdict not in verdicts):
                continue
            known.add(key)
            seen.append(key)
            incidents.append(incident_of(event, record, verdict))
        after = page["next"]
        if after >= page["head"] or len(incidents) >= limit:
            break
    return {"after": after, "seen": seen[-MOST_REMEMBERED:]}, incidents


def incident_of(event: dict, record: dict, verdict: str) -> dict:
    """One incident; the whole event is in rawJSON, for the mapper."""
    return {
        "name": f"{verdict} mail: {record.get('subject') or '(no subject)'}",
        "occurred": record.get("scanned_at") or record.get("ts") or event["collected_at"],
        "severity": SEVERITIES.get(verdict, 0),
        "dbotMirrorId": event["id"],
        "rawJSON": json.dumps(event),
    }


def search_messages(client: Client, args: dict) -> CommandResults:
    """Messages by every filter of the API."""
    answer = client.call("GET", "/v1/messages", query=args)
    notes = []
    if answer["truncated"]:
        notes.append("There are more: narrow the time or the filters.")
    if answer["withheld"]:
        notes.append(f"{answer['withheld']} messages are outside your scope.")
    shown = ["id", "scanned_at", "final_disposition", "from", "to", "subject", "delivery_status"]
    table = tableToMarkdown("Messages", answer["messages"], headers=shown, removeNull=True)
    return CommandResults(
        outputs_prefix=f"{PREFIX}.Message",
        outputs_key_field="id",
        outputs=answer["messages"],
        readable_output="\n".join([table, *notes]),
        raw_response=answer,
    )


def get_message(client: Client, args: dict) -> CommandResults:
    """One message as it is now, and what further endpoints say of it."""
    query = {"account": args.get("account"), "with": ",".join(argToList(args.get("with")))}
    answer = client.call("GET", f"/v1/messages/{quote(args['message_id'], safe='')}", query=query)
    outputs = {**answer["message"], **{name: value for name, value in answer.items() if name != "message"}}
    return CommandResults(
        outputs_prefix=f"{PREFIX}.Message",
        outputs_key_field="id",
        outputs=outputs,
        readable_output=tableToMarkdown("Message", answer["message"], removeNull=True),
        raw_response=answer,
    )


def act(client: Client, path: str, args: dict, *names: str) -> CommandResults:
    """Ask for an action with the arguments *names*, and follow it to its end."""
    body: dict[str, Any] = {name: args[name] for name in ("account", "reason", *names) if args.get(name)}
    if "ids" in body:
        body["ids"] = argToList(body["ids"])
    if "expires_in" in body:
        body["expires_in"] = arg_to_number(body["expires_in"], "expires_in")
    for name in ("is_regex", "dry_run"):
        if args.get(name):
            body[name] = argToBoolean(args[name])
    body["request_id"] = args.get("request_id") or str(uuid.uuid4())
    return follow(client.call("POST", path, body=body, query={"wait": f"{WAIT_SECONDS}s"}), args)


def unblock_sender(client: Client, args: dict) -> CommandResults:
    """Unblock what the connector blocked."""
    query = {name: args.get(name) for name in ("account", "reason", "dry_run")}
    query["request_id"] = args.get("request_id") or str(uuid.uuid4())
    query["wait"] = f"{WAIT_SECONDS}s"
    return follow(
        client.call("DELETE", f"/v1/senders/block/{quote(args['block_id'], safe='')}", query=query), args
    )


def get_action(client: Client, args: dict) -> CommandResults:
    """How far an action is; with polling until it has ended."""
    wait = f"{WAIT_SECONDS}s" if argToBoolean(args.get("polling") or "false") else None
    return follow(
        client.call("GET", f"/v1/actions/{quote(args['action_id'], safe='')}", query={"wait": wait}), args
    )


def follow(action: dict, args: dict) -> CommandResults:
    """The action as a result; the platform asks again while it runs and *args* wants polling."""
    rows = tableToMarkdown(
        f"{action['action']}: {action['state']}{' (dry run)' if action['dry_run'] else ''}",
        action["results"],
        headers=["id", "recipient", "state", "detail"],
        removeNull=True,
    )
    scheduled = None
    if not action["ended"] and argToBoolean(args.get("polling") or "false"):
        ScheduledCommand.raise_error_if_not_supported()
        timeout = arg_to_number(args.get("timeout")) or 3600
        scheduled = ScheduledCommand(
            command="cloudflare-email-action-get",
            next_run_in_seconds=arg_to_number(args.get("interval")) or 30,
            args={
                "action_id": action["id"],
                "polling": "true",
                "interval": args.get("interval"),
                "timeout": timeout,
            },
            timeout_in_seconds=timeout,
        )
    return CommandResults(
        outputs_prefix=f"{PREFIX}.Action",
        outputs_key_field="id",
        outputs=action,
        readable_output=f"{rows}\n{action['detail']}" if action["detail"] else rows,
        raw_response=action,
        scheduled_command=scheduled,
    )


def move_messages(client: Client, args: dict) -> CommandResults:
    """Move messages to a folder."""
    return act(client, "/v1/messages/move", args, "ids", "destination")


def release_messages(client: Client, args: dict) -> CommandResults:
    """Release messages from quarantine."""
    return act(client, "/v1/messages/release", args, "ids")


def submit_messages(client: Client, args: dict) -> CommandResults:
    """Submit messages for review by Cloudflare."""
    names = ("ids", "type", "expected_disposition", "escalated_submission_id")
    return act(client, "/v1/submissions", args, *names)


def block_sender(client: Client, args: dict) -> CommandResults:
    """Block a sender for the whole account."""
    return act(client, "/v1/senders/block", args, "pattern", "pattern_type", "expires_in")


def cancel_action(client: Client, args: dict) -> CommandResults:
    """Cancel an action that has not begun."""
    return follow(client.call("POST", f"/v1/actions/{quote(args['action_id'], safe='')}/cancel"), {})


COMMANDS = {
    "cloudflare-email-messages-search": search_messages,
    "cloudflare-email-message-get": get_message,
    "cloudflare-email-messages-move": move_messages,
    "cloudflare-email-messages-release": release_messages,
    "cloudflare-email-messages-submit": submit_messages,
    "cloudflare-email-sender-block": block_sender,
    "cloudflare-email-sender-unblock": unblock_sender,
    "cloudflare-email-action-get": get_action,
    "cloudflare-email-action-cancel": cancel_action,
}


def main() -> None:
    """Run the command that the platform asks for."""
    params, args, command = demisto.params(), demisto.args(), demisto.command()
    try:
        client = Client(
            base_url=params["url"].rstrip("/"),
            verify=not params.get("insecure", False),
            proxy=params.get("proxy", False),
            headers={"Authorization": f"Bearer {params['credentials']['password']}"},
        )
        if command == "test-module":
            return_results(test_module(client, params))
        elif command == "fetch-incidents":
            last_run, incidents = fetch_incidents(client, params, demisto.getLastRun())
            demisto.setLastRun(last_run)
            demisto.incidents(incidents)
        else:
            return_results(COMMANDS[command](client, args))
    except Exception as error:  # noqa: BLE001, whatever it is, the platform shows it
        return_error(f"{command} failed: {error}", error=error)


if __name__ in ("__main__", "__builtin__", "builtins"):
    main()
