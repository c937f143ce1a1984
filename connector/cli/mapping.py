"""``mapping apply`` and ``mapping test``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

import click

from connector.cli import FAILED
from connector.cli.common import say

_directory = click.option(
    "-d",
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Directory of own mappings; a file there shadows the one of the same name.",
)


@click.group("mapping")
def command() -> None:
    """Apply and test mappings."""


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
    from connector.app.mapping import apply, choose, redaction  # noqa: PLC0415, not needed for --help
    from connector.model import Event  # noqa: PLC0415

    pack = choose(mapping, directory).load()
    without = redaction(redact, redaction_key_file)
    wrong = False
    for result in apply(pack, file, getattr(file, "name", "stdin"), without):
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
    from connector.app.mapping import choose, test  # noqa: PLC0415, not needed for --help
    from connector.mapping import Library  # noqa: PLC0415

    names = mappings or tuple(Library((directory,) if directory else ()).names())
    failures = total = 0
    for name in names:
        for outcome in test(choose(name, directory)):
            total += 1
            if not outcome.passed:
                failures += 1
                click.echo(f"FAIL  {name}: {outcome}")
    click.echo(f"{total - failures} of {total} tests passed in {', '.join(names)}")
    if failures:
        context.exit(FAILED)
