"""``mapping apply``, ``test``, ``lint``, ``explain`` and ``coverage``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

import click

from connector.cli import FAILED
from connector.cli.common import say
from connector.cli.names import complete_mapping
from connector.quantities import count_of
from connector.yaml_nodes import suggestion

_directory = click.option(
    "-d",
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Directory of custom mappings; a file there overrides the built-in one of the same name.",
)


@click.group("mapping")
def command() -> None:
    """Apply, test, lint and explain mappings."""


@command.command("apply")
@click.argument("mapping", shell_complete=complete_mapping)
@click.argument("file", type=click.File("rb"), default="-")
@_directory
@click.option(
    "--notes",
    is_flag=True,
    help="Print conversion notes on stderr: values that did not fit or were shortened.",
)
@click.option(
    "--redact", multiple=True, metavar="FIELD=MODE", help="Redact a field as an output can: drop or hash."
)
@click.option(
    "--redaction-key-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the key for hashes; default: a random key for this run.",
)
@click.pass_context
def apply_(
    context: click.Context,
    mapping: str,
    file: BinaryIO,
    directory: Path | None,
    notes: bool,
    redact: tuple[str, ...],
    redaction_key_file: Path | None,
) -> None:
    """Map records (a JSON object per line of FILE or stdin) and print events, one per line.

    MAPPING is the name of a mapping or the path of a file. Invalid lines are reported with their line
    number; the rest are still mapped, and the exit code is 1.
    """
    from connector.model import Event
    from connector.ops.mapping_tools import apply, find_mapping, redaction

    pack = find_mapping(mapping, directory).load()
    without = redaction(redact, redaction_key_file)
    failed = False
    for result in apply(pack, file, _name(file), without):
        if isinstance(result, Event):
            sys.stdout.buffer.write(result.payload + b"\n")
            for note in result.notes if notes else ():
                say(f"{result.revision.record.id!a}: {note}")
        else:
            failed = True
            say(f"error: {result}")
    sys.stdout.buffer.flush()
    if failed:
        context.exit(FAILED)


@command.command("test")
@click.argument("mappings", nargs=-1, shell_complete=complete_mapping)
@_directory
@click.pass_context
def test_(context: click.Context, mappings: tuple[str, ...], directory: Path | None) -> None:
    """Run the tests inside MAPPINGS (names or files; default: all)."""
    from connector.cli.mapping_report import sanitize_lines
    from connector.mapping import Library
    from connector.ops.mapping_tools import find_mapping, test

    names = mappings or tuple(Library((directory,) if directory else ()).names())
    failures = total = 0
    for name in names:
        for outcome in test(find_mapping(name, directory)):
            total += 1
            if not outcome.passed:
                failures += 1
                click.echo(
                    sanitize_lines(f"{outcome.position}: {outcome.name}: {why}" for why in outcome.failures)
                )
    click.echo(f"{total - failures} of {total} tests passed in {', '.join(names)}")
    if failures:
        context.exit(FAILED)


@command.command("lint")
@click.argument("mappings", nargs=-1, shell_complete=complete_mapping)
@_directory
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per finding.")
@click.pass_context
def lint_(
    context: click.Context, mappings: tuple[str, ...], directory: Path | None, strict: bool, as_json: bool
) -> None:
    """Find mistakes and suspicious rules in MAPPINGS (names or files; default: all).

    An error is certainly a mistake, or prevents the mapping from being used: exit code 1. A warning may be
    intentional, such as an API field that the mapping omits.
    """
    from connector.cli.mapping_report import finding, finding_json
    from connector.mapping import Library
    from connector.ops.mapping_tools import find_mapping, lint_mapping

    names = mappings or tuple(Library((directory,) if directory else ()).names())
    show = finding_json if as_json else finding
    reported: dict[str, set[str]] = {"error": set(), "warning": set()}
    for name in names:
        findings = lint_mapping(find_mapping(name, directory))
        for level, problems in (("error", findings.errors), ("warning", findings.warnings)):
            for problem in problems:
                if str(problem) not in reported[level]:  # an inherited rule is reported once
                    reported[level].add(str(problem))
                    click.echo(show(level, problem))
    errors, warnings = len(reported["error"]), len(reported["warning"])
    if not as_json:
        say(f"{count_of(errors, 'error')}, {count_of(warnings, 'warning')} in {', '.join(names)}")
    if errors or (strict and warnings):
        context.exit(FAILED)


@command.command("explain")
@click.argument("mapping", shell_complete=complete_mapping)
@click.argument("file", type=click.File("rb"), required=False)
@_directory
@click.option("-t", "--target", "wanted", multiple=True, help="Only this target and those below it.")
@click.option("--id", "identity", help="The record with this id; default: the first one.")
@click.option("--all", "everything", is_flag=True, help="Also show empty targets, and why they are empty.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per target.")
def explain_(
    mapping: str,
    file: BinaryIO | None,
    directory: Path | None,
    wanted: tuple[str, ...],
    identity: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Explain where each field of an event comes from: rule, position, inputs, result.

    The record is the first of FILE ("-" for stdin; a JSON object, or one per line); without FILE, a sample
    record with every field.
    """
    from connector.cli.mapping_report import explanation, targets_json
    from connector.ops.mapping_tools import explain_record, find_mapping, records, sample

    pack = find_mapping(mapping, directory).load()
    if file is None:
        record = sample()
        say("using a sample record; pass a file to explain one of yours")
    else:
        found = records(file.read(), _name(file))
        chosen = next((one for one in found if identity in (None, one.id)), None)
        if chosen is None:
            raise click.UsageError(
                f"no record with the id {identity!a}" if identity else "the file has no records"
            )
        record = chosen
    explained = explain_record(pack, record)
    unknown = [name for name in wanted if not any(_meant(one.target, name) for one in explained.targets)]
    if unknown:
        hint = suggestion(unknown[0], [one.target for one in explained.targets])
        raise click.UsageError(f"{pack.name} has no target {unknown[0]}{f'; {hint}' if hint else ''}")
    shown = [
        one
        for one in explained.targets
        if (
            any(_meant(one.target, name) for name in wanted)
            if wanted
            else everything or one.value is not None
        )
    ]
    if as_json:
        click.echo("".join(f"{line}\n" for line in targets_json(shown)), nl=False)
    else:
        click.echo(explanation(explained, shown, whole=not wanted), nl=False)


def _name(file: BinaryIO) -> str:
    return str(getattr(file, "name", "stdin"))


def _meant(target: str, name: str) -> bool:
    return target == name or target.startswith(f"{name}.")


@command.command("coverage")
@click.argument("mapping", shell_complete=complete_mapping)
@click.argument("file", type=click.File("rb"), required=False)
@_directory
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@click.option("--unused", is_flag=True, help="List fields of the format that are never set.")
def coverage_(
    mapping: str, file: BinaryIO | None, directory: Path | None, as_json: bool, unused: bool
) -> None:
    """Show where each field of a record goes, and which fields of the format are set.

    With FILE (records, one JSON object per line) it also counts in how many records a field has a value and
    a target is set, and lists fields that the API does not document.
    """
    from connector.cli.mapping_report import coverage_json, coverage_text
    from connector.mapping import coverage
    from connector.ops.mapping_tools import count_usage, find_mapping, records

    pack = find_mapping(mapping, directory).load()
    found, counts = coverage(pack), None
    if file is not None:
        counts = count_usage(pack, records(file.read(), _name(file)))
    if as_json:
        click.echo(coverage_json(pack, found, counts))
    else:
        click.echo(coverage_text(pack, found, counts, unused=unused), nl=False)
