"""``mapping apply``, ``test``, ``lint``, ``explain`` and ``coverage``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

import click

from connector.cli import FAILED
from connector.cli.common import say
from connector.cli.terminal import count_of
from connector.yaml_nodes import suggestion

_directory = click.option(
    "-d",
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Directory of custom mappings; a file there overrides the built-in one of the same name.",
)


@click.group("mapping")
def command() -> None:
    """Apply, test and understand mappings."""


@command.command("apply")
@click.argument("mapping")
@click.argument("file", type=click.File("rb"), default="-")
@_directory
@click.option("--notes", is_flag=True, help="Tell on stderr what did not fit or was shortened.")
@click.option("--redact", multiple=True, metavar="FIELD=MODE", help="drop or hash a field, as outputs can.")
@click.option(
    "--redaction-key-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Holds the key of hashes; otherwise one is made up for this run.",
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

    MAPPING is the name of a mapping or the path of a file. Lines that are no record are told with their
    place; the others are mapped nevertheless, and the exit code is 1.
    """
    from connector.model import Event  # noqa: PLC0415
    from connector.ops.mapping_tools import apply, find_mapping, redaction  # noqa: PLC0415, not needed for --help

    pack = find_mapping(mapping, directory).load()
    without = redaction(redact, redaction_key_file)
    wrong = False
    for result in apply(pack, file, _name(file), without):
        if isinstance(result, Event):
            sys.stdout.buffer.write(result.payload + b"\n")
            for note in result.notes if notes else ():
                say(f"{result.revision.record.id!a}: {note}")
        else:
            wrong = True
            say(str(result))
    sys.stdout.buffer.flush()
    if wrong:
        context.exit(FAILED)


@command.command("test")
@click.argument("mappings", nargs=-1)
@_directory
@click.pass_context
def test_(context: click.Context, mappings: tuple[str, ...], directory: Path | None) -> None:
    """Run the tests inside MAPPINGS (names or files; default: all)."""
    from connector.cli.mapping_report import sanitize_lines  # noqa: PLC0415
    from connector.mapping import Library  # noqa: PLC0415
    from connector.ops.mapping_tools import find_mapping, test  # noqa: PLC0415, not needed for --help

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
@click.argument("mappings", nargs=-1)
@_directory
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per finding.")
@click.pass_context
def lint_(
    context: click.Context, mappings: tuple[str, ...], directory: Path | None, strict: bool, as_json: bool
) -> None:
    """Find mistakes and doubtful places in MAPPINGS (names or files; default: all).

    An error is something that cannot be meant, or keeps the mapping from being used: exit code 1. A warning
    may be on purpose, such as a field of the API that the mapping leaves out.
    """
    from connector.cli.mapping_report import finding, finding_json  # noqa: PLC0415
    from connector.mapping import Library  # noqa: PLC0415
    from connector.ops.mapping_tools import find_mapping, lint_mapping  # noqa: PLC0415, not needed for --help

    names = mappings or tuple(Library((directory,) if directory else ()).names())
    show = finding_json if as_json else finding
    told: dict[str, set[str]] = {"error": set(), "warning": set()}
    for name in names:
        found = lint_mapping(find_mapping(name, directory))
        for level, problems in (("error", found.errors), ("warning", found.warnings)):
            for problem in problems:
                if str(problem) not in told[level]:  # what a mapping inherits is told once
                    told[level].add(str(problem))
                    click.echo(show(level, problem))
    errors, warnings = len(told["error"]), len(told["warning"])
    if not as_json:
        say(f"{count_of(errors, 'error')}, {count_of(warnings, 'warning')} in {', '.join(names)}")
    if errors or (strict and warnings):
        context.exit(FAILED)


@command.command("explain")
@click.argument("mapping")
@click.argument("file", type=click.File("rb"), required=False)
@_directory
@click.option("-t", "--target", "wanted", multiple=True, help="Only this target, or what is below it.")
@click.option("--id", "identity", help="The record with this id; by default the first one.")
@click.option("--all", "everything", is_flag=True, help="Also the targets that hold nothing, and why.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per target.")
def explain_(
    mapping: str,
    file: BinaryIO | None,
    directory: Path | None,
    wanted: tuple[str, ...],
    identity: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Tell where each field of an event comes from: rule, place, what it read, what came of it.

    The record is the first of FILE ("-" for stdin; a JSON object, or one per line); without FILE, a made-up
    one that has every field.
    """
    from connector.cli.mapping_report import explanation, targets_json  # noqa: PLC0415
    from connector.ops.mapping_tools import explain_record, find_mapping, records, sample  # noqa: PLC0415, not needed for --help

    pack = find_mapping(mapping, directory).load()
    if file is None:
        record = sample()
        say("a made-up record; name a file to explain one of yours")
    else:
        found = records(file.read(), _name(file))
        chosen = next((one for one in found if identity in (None, one.id)), None)
        if chosen is None:
            raise click.UsageError(
                f"no record with the id {identity!a}" if identity else "there is no record"
            )
        record = chosen
    told = explain_record(pack, record)
    unknown = [name for name in wanted if not any(_meant(one.target, name) for one in told.targets)]
    if unknown:
        hint = suggestion(unknown[0], [one.target for one in told.targets])
        raise click.UsageError(f"{pack.name} has no target {unknown[0]}{f'; {hint}' if hint else ''}")
    shown = [
        one
        for one in told.targets
        if (
            any(_meant(one.target, name) for name in wanted)
            if wanted
            else everything or one.value is not None
        )
    ]
    if as_json:
        click.echo("".join(f"{line}\n" for line in targets_json(shown)), nl=False)
    else:
        click.echo(explanation(told, shown, whole=not wanted), nl=False)


def _name(file: BinaryIO) -> str:
    return str(getattr(file, "name", "stdin"))


def _meant(target: str, name: str) -> bool:
    return target == name or target.startswith(f"{name}.")


@command.command("coverage")
@click.argument("mapping")
@click.argument("file", type=click.File("rb"), required=False)
@_directory
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
@click.option("--unused", is_flag=True, help="List the fields of the format that are not filled.")
def coverage_(
    mapping: str, file: BinaryIO | None, directory: Path | None, as_json: bool, unused: bool
) -> None:
    """Tell where each field of a record goes, and which fields of the format are filled.

    With FILE (records, one JSON object per line) it counts, too: in how many records a field has a value and
    a target is filled, and what they hold that the API does not document.
    """
    from connector.cli.mapping_report import coverage_json, coverage_text  # noqa: PLC0415
    from connector.mapping import coverage  # noqa: PLC0415
    from connector.ops.mapping_tools import count_usage, find_mapping, records  # noqa: PLC0415, not needed for --help

    pack = find_mapping(mapping, directory).load()
    found, counts = coverage(pack), None
    if file is not None:
        counts = count_usage(pack, records(file.read(), _name(file)))
    if as_json:
        click.echo(coverage_json(pack, found, counts))
    else:
        click.echo(coverage_text(pack, found, counts, unused=unused), nl=False)
