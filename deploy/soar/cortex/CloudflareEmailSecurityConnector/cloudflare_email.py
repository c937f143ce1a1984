#!/usr/bin/env python3
"""Cortex responder: move, release or submit the message that a case or alert names, or block its sender.

Reads the job from the directory that Cortex names (input/input.json), or from stdin; needs only Python.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT = 40
"""Seconds for an answer: the connector waits 20 at most."""

TYPES = {"mail": "EMAIL", "email": "EMAIL", "domain": "DOMAIN", "ip": "IP"}
"""``pattern_type`` by the data type of an observable."""

TAGGED = {"thehive:alert": "AddTagToAlert", "thehive:case_artifact": "AddTagToArtifact"}
"""TheHive's operation that tags the subject of a job, by its type."""


class Failed(Exception):
    """What Cortex shows instead of a report."""


def field(data: dict, name: str) -> str:
    """The text of a custom field of a case or alert: TheHive 5 sends a list, TheHive 4 an object."""
    fields = data.get("customFieldValues") or data.get("customFields") or {}
    if isinstance(fields, list):
        fields = {one.get("name"): one.get("value") for one in fields}
    value = fields.get(name)
    if isinstance(value, dict):
        value = value.get("string") or value.get("value")
    return str(value or "")


def message_ids(job: dict) -> list[str]:
    """The messages that the subject of the job names: in the custom field, or as the observable itself."""
    data, name = job["data"], job["config"].get("message_field") or "cloudflare-email-id"
    is_observable = "artifact" in str(job.get("dataType"))
    found = str(data.get("data") or "") if is_observable else field(data, name)
    ids = [one for one in re.split(r"[\s,]+", found) if one]
    if not ids:
        raise Failed(f"no message: fill the custom field {name} with the id of the message")
    return ids


def request_of(job: dict) -> tuple[str, dict]:
    """Path and body of the request that the service of the job stands for."""
    config, data = job["config"], job["data"]
    subject = data.get("id") or data.get("_id") or ""
    body = {
        "reason": f"{job.get('dataType')} {subject}: {data.get('title') or data.get('message') or ''}"[:500],
        "dry_run": bool(config.get("dry_run")),
    }
    if config.get("account"):
        body["account"] = config["account"]
    service = config["service"]
    if service == "block":
        kind = TYPES.get(str(data.get("dataType")))
        if kind is None or not data.get("data"):
            raise Failed("block works on an observable of the type mail, domain or ip")
        body |= {"pattern": data["data"], "pattern_type": kind}
        if config.get("block_days"):
            body["expires_in"] = int(config["block_days"]) * 86_400
        return "/v1/senders/block", body
    body["ids"] = message_ids(job)
    if service == "move":
        return "/v1/messages/move", body | {"destination": config.get("destination") or "JunkEmail"}
    if service == "release":
        return "/v1/messages/release", body
    if service == "submit":
        wanted = config.get("expected_disposition") or "MALICIOUS"
        return "/v1/submissions", body | {
            "type": config.get("submission_type") or "missed_detection", "expected_disposition": wanted,
        }  # fmt: skip
    raise Failed(f"there is no service {service}")


def call(config: dict, path: str, body: dict) -> dict:
    """The action that the connector answers with."""
    if not str(config["url"]).startswith(("http://", "https://")):
        raise Failed("url begins with https:// or http://")
    request = urllib.request.Request(  # noqa: S310, checked above
        f"{config['url'].rstrip('/')}{path}?wait=20s",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {config['token']}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310, checked above
            return json.load(answer)
    except urllib.error.HTTPError as error:
        try:
            problem = json.load(error)
            raise Failed(f"refused [{error.code}] {problem['code']}: {problem['detail']}") from None
        except (ValueError, KeyError, TypeError):
            raise Failed(f"refused [{error.code}]: is url the connector's actions.listen?") from None
    except OSError as error:
        raise Failed(
            f"no answer from the connector: {error}; whether it acted shows its list of actions"
        ) from None


def report_of(job: dict) -> dict:
    """The report of the job."""
    action = call(job["config"], *request_of(job))
    planned = " (dry run)" if action["dry_run"] else ""
    message = f"{action['action']}{planned}: {action['state']}. {action['detail']}".strip()
    if action["state"] in {"failed", "cancelled", "expired"}:
        rows = "; ".join(f"{row['id']} {row['recipient']}: {row['detail']}" for row in action["results"])
        raise Failed(f"{message} {rows}".strip())
    operation = TAGGED.get(job.get("dataType"), "AddTagToCase")
    tag = {"type": operation, "tag": f"cloudflare-email:{action['action']}={action['state']}"}
    return {
        "success": True,
        "full": {"message": message, "action": action},
        "operations": [] if action["dry_run"] else [tag],
    }


def main() -> int:
    """Run the job; 1 if it failed."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    try:
        text = (folder / "input" / "input.json").read_text("utf-8") if folder else sys.stdin.read()
        report = report_of(json.loads(text))
    except Failed as error:
        report = {"success": False, "errorMessage": str(error)}
    except (KeyError, ValueError, OSError) as error:
        report = {"success": False, "errorMessage": f"the job cannot be read: {error!r}"}
    if folder:
        (folder / "output").mkdir(exist_ok=True)
        (folder / "output" / "output.json").write_text(json.dumps(report), "utf-8")
    else:
        sys.stdout.write(json.dumps(report))
    return 0 if report["success"] else 1


if __name__ == "__main__":
    sys.exit(main())
