"""``init``: write a first ``connector.yaml`` for one collector."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import click

from connector.cli.common import say
from connector.errors import ConfigurationError, ConnectorError
from connector.ops.init import ACCOUNT_ID, RECIPES, CollectorRecipe, Question, configuration

_ACCOUNT = Question(ACCOUNT_ID, "Cloudflare account id", "023e105f4ecef8ad9ca31a8372d0c353")
_SECRETS_DIRECTORY = "/run/secrets"

Secrets = Literal["env", "file"]


@click.command("init")
@click.argument("collector", type=click.Choice(sorted(RECIPES)), required=False)
@click.option("--account-id", metavar="ID", help="Cloudflare account id: 32 hexadecimal digits.")
@click.option("--url", metavar="URL", help="URL of the collector, for those that take HTTP.")
@click.option("--address", metavar="ADDRESS", help="Address of the receiver, for those that take syslog.")
@click.option("--username", metavar="NAME", help="User name at the collector, if it requires one.")
@click.option("--brokers", metavar="HOST:PORT", help="A broker, for kafka.")
@click.option("--topic", metavar="NAME", help="Topic, for kafka.")
@click.option("--rule", metavar="ID", help="Immutable id of the data collection rule, for sentinel.")
@click.option("--tenant-id", metavar="ID", help="Tenant of Microsoft Entra ID, for sentinel.")
@click.option("--client-id", metavar="ID", help="Application (client) id, for sentinel.")
@click.option("--path", metavar="FILE", help="File to write, for the collector file.")
@click.option(
    "--secrets",
    type=click.Choice(["env", "file"]),
    default="env",
    show_default=True,
    help=f"Where the file looks for secrets: environment variables, or files in {_SECRETS_DIRECTORY}.",
)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default=Path("connector.yaml"),
    show_default=True,
    help="File to write; - for stdout.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(
    collector: str | None,
    account_id: str | None,
    url: str | None,
    address: str | None,
    username: str | None,
    brokers: str | None,
    topic: str | None,
    rule: str | None,
    tenant_id: str | None,
    client_id: str | None,
    path: str | None,
    secrets: Secrets,
    target: Path,
    force: bool,
) -> None:
    """Write a commented configuration for COLLECTOR.

    Asks on a terminal for what the options leave out. The file refers to secrets by variable or file; the
    command lists the ones to set.
    """
    to_stdout = str(target) == "-"
    if not to_stdout and target.exists() and not force:
        raise click.UsageError(f"{target} exists; use --force to overwrite it, or -o for another file")
    if collector is None:
        if not sys.stdin.isatty():
            raise click.UsageError(f"name a collector: {', '.join(sorted(RECIPES))}")
        for name, one in sorted(RECIPES.items()):
            say(f"  {name:<14}{one.title}")
        collector = click.prompt(
            "Collector", type=click.Choice(sorted(RECIPES)), show_choices=False, err=True
        )
    recipe = RECIPES[collector]
    given = {
        ACCOUNT_ID: account_id,
        "url": url,
        "address": address,
        "username": username,
        "brokers": brokers,
        "topic": topic,
        "path": path,
        "rule": rule,
        "tenant_id": tenant_id,
        "client_id": client_id,
    }
    answers = _answers(collector, recipe, given)
    _validate(recipe, answers)

    text = configuration(recipe, answers, lambda name: _reference(name, secrets))
    if to_stdout:
        click.echo(text, nl=False)
    else:
        _write(target, text)
    _next_steps(recipe, secrets, target, to_stdout=to_stdout)


def _write(target: Path, text: str) -> None:
    is_new = not target.exists()
    try:
        target.write_text(text, "utf-8")
    except OSError as error:
        if is_new:
            with suppress(OSError):
                target.unlink()  # an empty file would be a valid configuration
        raise ConnectorError(f"cannot write {target}: {error.strerror}") from None


def _answers(collector: str, recipe: CollectorRecipe, given: Mapping[str, str | None]) -> dict[str, str]:
    questions = (_ACCOUNT, *recipe.questions)
    asked = {question.key for question in questions}
    useless = [key for key, value in given.items() if value is not None and key not in asked]
    if useless:
        raise click.UsageError(f"{_option(useless[0])} has no effect for {collector}")
    missing = [question for question in questions if given[question.key] is None]
    if missing and not sys.stdin.isatty():
        raise click.UsageError(
            f"{collector} needs {', '.join(_option(question.key) for question in missing)}"
        )
    answers = {key: value for key, value in given.items() if value is not None}
    for question in missing:
        answers[question.key] = click.prompt(f"{question.text} (such as {question.example})", err=True)
    return answers


def _validate(recipe: CollectorRecipe, answers: Mapping[str, str]) -> None:
    """Load the configuration as ``run`` would, with a stand-in for every secret."""
    from connector.settings import load

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "connector.yaml"
        file.write_text(configuration(recipe, answers, lambda _: "stand-in"), "utf-8")
        try:
            load(file, {})
        except ConfigurationError as error:
            problem = error.problems[0]
            raise click.UsageError(problem.message + (f" ({problem.hint})" if problem.hint else "")) from None


def _reference(name: str, secrets: Secrets) -> str:
    return f"${{env:{name.upper()}}}" if secrets == "env" else f"${{file:{_SECRETS_DIRECTORY}/{name}}}"


def _next_steps(recipe: CollectorRecipe, secrets: Secrets, target: Path, *, to_stdout: bool) -> None:
    names = ("cloudflare_api_token", *recipe.secrets)
    if not to_stdout:
        say(f"wrote {target}")
    if secrets == "env":
        say("set: " + " ".join(name.upper() for name in names))
    else:
        say("create: " + " ".join(f"{_SECRETS_DIRECTORY}/{name}" for name in names))
    file = "" if to_stdout or re.fullmatch(r"(\./)?connector\.yaml", str(target)) else f" -c {target}"
    setup = " --setup" if recipe.setup else ""
    say(f"then: email-connector check{file}{setup} --send-test && email-connector run{file}")


def _option(key: str) -> str:
    return "--" + key.replace("_", "-")
