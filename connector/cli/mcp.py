"""``mcp``: response actions as tools of an assistant."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.cli.common import say
from connector.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from connector.net.tls import TlsOptions
    from connector.secret import Secret

TOKEN_VARIABLE = "EMAIL_CONNECTOR_TOKEN"  # noqa: S105, the name of a variable
_PERMITTED = ("move", "release", "submit", "block", "cancel")
"""Repeated from ``ops.mcp.tools``, which is imported when the command runs; a test keeps them equal."""

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command("mcp")
@click.option(
    "--url",
    default="http://127.0.0.1:9465",
    show_default=True,
    metavar="URL",
    help="Where the connector's actions.listen answers; https beyond this machine.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"File with the caller's token. Default: the variable {TOKEN_VARIABLE}.",
)
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    type=click.Choice(_PERMITTED),
    help="Offer tools that do this, as far as the caller may. Repeatable. Default: none, only reading.",
)
@click.option("--ca-file", type=_FILE, help="CAs to trust instead of the system's (PEM).")
@click.option("--cert-file", type=_FILE, help="Client certificate (PEM).")
@click.option("--key-file", type=_FILE, help="Key of the client certificate, if it is not in its file.")
def command(
    url: str,
    token_file: Path | None,
    allowed: tuple[str, ...],
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
) -> None:
    """Serve response actions to an assistant by MCP (Model Context Protocol), on stdin and stdout.

    A client starts it. It calls the HTTP API of a running connector as one of its callers, whose scope
    applies, and reads no configuration. Tools only read, unless --allow says more; those that act preview
    first.
    """
    if find_spec("mcp") is None:
        raise ConfigurationError(
            Problem("the MCP SDK is not installed", hint="pip install 'cloudflare-email-connector[mcp]'")
        )
    import asyncio

    from connector.ops.mcp.api import check_url

    if key_file is not None and cert_file is None:
        raise click.UsageError("--key-file requires --cert-file")
    token = _token(token_file)
    asyncio.run(_serve(check_url(url), token, _tls(ca_file, cert_file, key_file), allowed))


async def _serve(url: str, token: Secret, tls: TlsOptions | None, allowed: tuple[str, ...]) -> None:
    from connector.ops.mcp.api import Api
    from connector.ops.mcp.server import serve

    api = Api(url, token, tls)
    try:
        await serve(api, allowed, say)
    finally:
        await api.close()


def _tls(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> TlsOptions | None:
    from connector.net.tls import TlsOptions

    if ca_file is None and cert_file is None:
        return None
    return TlsOptions(ca_file=ca_file, cert_file=cert_file, key_file=key_file)


def _token(file: Path | None) -> Secret:
    from connector.secret import Secret
    from connector.settings.interpolation import UnresolvedReference, read_secret_file

    variable = os.environ.get(TOKEN_VARIABLE, "")
    if file is not None and variable:
        raise click.UsageError(f"give --token-file or {TOKEN_VARIABLE}, not both")
    if file is None:
        if not variable:
            raise click.UsageError(f"no token: give --token-file, or set {TOKEN_VARIABLE}")
        secret = Secret(variable)
    else:
        try:
            secret = Secret(read_secret_file(file), lambda: read_secret_file(file))
        except UnresolvedReference as error:
            raise ConfigurationError(Problem(f"--token-file: {error}")) from None
    text = secret.reveal()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError(
            Problem(
                "the token has characters that no token has", hint="expected printable ASCII without spaces"
            )
        )
    return secret
