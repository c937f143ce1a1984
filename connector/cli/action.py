"""``action``: act on email, and decide about actions of others, through the running connector."""

from __future__ import annotations

import asyncio
import getpass
import os
import uuid
from pathlib import Path
from typing import Any, TypeVar

import click

from connector.api_values import DESTINATIONS, DISPOSITIONS
from connector.app.control.server import ask
from connector.cli import FAILED
from connector.cli.common import print_json, say, state_directory, state_options
from connector.cli.names import complete_account, complete_action, complete_block
from connector.cli.terminal import confirm, sanitize
from connector.errors import ConnectorError

_SUCCEEDED = "succeeded"
STATES = (
    "accepted", "awaiting_approval", "running", "succeeded", "partial", "failed", "unknown", "cancelled",
    "expired",
)  # fmt: skip
"""Repeated from ``connector.actions``; a test keeps these words equal."""

_WAITING = frozenset({"awaiting_approval"})
_NOT_BEGUN = _WAITING | {"accepted"}

F = TypeVar("F", bound=Any)


@click.group("action")
def command() -> None:
    """Move, release, submit and block; list, approve and cancel actions.

    Needs a running connector with the section `actions`. Everything is done as operator:USER and audited.
    """


def _common(function: F) -> F:
    for option in (
        state_options,
        click.option("--json", "as_json", is_flag=True, help="Print the action as JSON."),
        click.option("--request-id", help="Name of this request; the same request is carried out once."),
        click.option("--yes", is_flag=True, help="Do not ask before acting."),
        click.option("--dry-run", is_flag=True, help="Only tell what would be done."),
        click.option("--reason", required=True, help="Why, for the audit trail: a ticket."),
        click.option(
            "--account",
            shell_complete=complete_account,
            help="Name of the account; may be left out if there is one.",
        ),
    ):
        function = option(function)
    return function


@command.command("move")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--to", "destination", required=True, type=click.Choice(DESTINATIONS), help="Folder.")
@_common
def move(ids: tuple[str, ...], destination: str, **options: Any) -> None:
    """Move messages to a folder. RecoverableItemsPurges deletes them for good."""
    body = {"ids": ids, "destination": destination}
    _act("move", f"move {len(ids)} message(s) to {destination}", body, options)


@command.command("release")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@_common
def release(ids: tuple[str, ...], **options: Any) -> None:
    """Release messages from quarantine to their recipients."""
    _act("release", f"release {len(ids)} message(s) to their recipients", {"ids": ids}, options)


@command.command("submit")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--as", "disposition", required=True, type=click.Choice(DISPOSITIONS), help="Expected verdict.")
@click.option("--missed", is_flag=True, help="The messages have no detection: report missed detections.")
@_common
def submit(ids: tuple[str, ...], disposition: str, missed: bool, **options: Any) -> None:
    """Submit messages to Cloudflare for review."""
    body = {
        "ids": ids,
        "type": "missed_detection" if missed else "reclassification",
        "expected_disposition": disposition,
    }
    _act("submit", f"submit {len(ids)} message(s) as {disposition}", body, options)


@command.command("block")
@click.argument("pattern")
@click.option(
    "--type",
    "pattern_type",
    required=True,
    type=click.Choice(("EMAIL", "DOMAIN", "IP")),
    help="What PATTERN is.",
)
@click.option(
    "--for", "expires_in", type=click.IntRange(min=60), metavar="SECONDS", help="Unblock after this time."
)
@click.option("--regex", "is_regex", is_flag=True, help="PATTERN is a regular expression.")
@_common
def block(pattern: str, pattern_type: str, expires_in: int | None, is_regex: bool, **options: Any) -> None:
    """Block the sender PATTERN: an address, a domain, or an IP address or network."""
    body = {"pattern": pattern, "pattern_type": pattern_type, "is_regex": is_regex}
    if expires_in is not None:
        body["expires_in"] = expires_in
    _act("block", f"block {pattern_type} {pattern}", body, options)


@command.command("unblock")
@click.argument("block_id", shell_complete=complete_block)
@_common
def unblock(block_id: str, **options: Any) -> None:
    """Unblock a sender that the connector blocked; BLOCK_ID is shown by `action show`."""
    _act("unblock", f"unblock {block_id}", {"block_id": block_id}, options)


@command.command("list")
@click.option("--status", "wanted", type=click.Choice(STATES), help="Only actions in this state.")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only actions with a greater number.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def show_all(wanted: str | None, after: int, as_json: bool, config: Path | None, state: Path | None) -> None:
    """List actions, oldest first."""
    answer = _ask(config, state, do="list", after=after, state=wanted)
    if as_json:
        print_json(answer)
        return
    for one in answer["actions"]:
        parameter = one["destination"] or one["pattern"] or one["expected_disposition"] or ""
        start = f"{one['number']:>6}  {one['id']}  {one['state']:<17}  {one['action']:<7}"
        click.echo(sanitize(f"{start}  {one['caller']}  {parameter}  {one['reason']}"))
    if not answer["actions"]:
        say("no actions")


@command.command("show")
@click.argument("action_id", metavar="ACTION", shell_complete=complete_action())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def show(action_id: str, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Show one action with its results."""
    _print(_ask(config, state, do="show", id=action_id), as_json=as_json)


@command.command("approve")
@click.argument("action_id", metavar="ACTION", shell_complete=complete_action(_WAITING))
@state_options
def approve(action_id: str, config: Path | None, state: Path | None) -> None:
    """Let an action begin that awaits approval."""
    say(f"approved; the action is {_ask(config, state, do='approve', id=action_id)['state']}")


@command.command("cancel")
@click.argument("action_id", metavar="ACTION", shell_complete=complete_action(_NOT_BEGUN))
@state_options
def cancel(action_id: str, config: Path | None, state: Path | None) -> None:
    """Cancel an action that has not begun."""
    say(f"the action is {_ask(config, state, do='cancel', id=action_id)['state']}")


def _act(kind: str, what: str, body: dict[str, Any], options: dict[str, Any]) -> None:
    """Request an action, wait a while for its end, and print it; exit with 1 unless it succeeded."""
    if not options["dry_run"]:
        confirm(f"{what}?", yes=options["yes"])
    body = {
        **body,
        "reason": options["reason"],
        "dry_run": options["dry_run"],
        # Named before it is sent: a command that is repeated after a lost answer acts once.
        "request_id": options["request_id"] or uuid.uuid4().hex,
    }
    if options["account"]:
        body["account"] = options["account"]
    answer = _ask(options["config"], options["state"], do="request", kind=kind, body=body, wait=True)
    _print(answer, as_json=options["as_json"])
    if answer["state"] != _SUCCEEDED:
        click.get_current_context().exit(FAILED)


def _print(action: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(action)
        return
    dry = " (dry run)" if action["dry_run"] else ""
    click.echo(sanitize(f"{action['action']} {action['id']}: {action['state']}{dry}"))
    click.echo(sanitize(f"requested {action['requested_at']} by {action['caller']}: {action['reason']}"))
    if action["approved_by"]:
        click.echo(sanitize(f"approved by {action['approved_by']}"))
    if action["block_id"]:
        until = f", until {action['expires_at']}" if action["expires_at"] else ""
        click.echo(sanitize(f"blocked sender {action['block_id']}{until}"))
    if action["detail"]:
        click.echo(sanitize(action["detail"]))
    for row in action["results"]:
        shown = (row["state"], row["id"], row["recipient"], row["detail"])
        click.echo(sanitize("  ".join(filter(None, shown))))


def _ask(config: Path | None, directory: Path | None, /, **request: Any) -> dict[str, Any]:
    answer = asyncio.run(ask(state_directory(config, directory), "action", user=_user(), **request))
    if not isinstance(answer, dict):
        raise ConnectorError("unexpected reply from the daemon (version mismatch?)")
    return answer


def _user() -> str:
    """The person who types: behind sudo, who called it."""
    return os.environ.get("SUDO_USER") or getpass.getuser()
