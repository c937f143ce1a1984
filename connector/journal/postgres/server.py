"""The server: how to connect, what kind of server answers, and what its errors mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import psycopg
from psycopg import conninfo

from connector.errors import JournalBroken, JournalError, JournalUnavailable
from connector.masking import mask_secrets
from connector.net.loopback import is_loopback
from connector.secret import Secret

Mode: TypeAlias = Literal["disable", "require", "verify-ca", "verify-full"]

_CONNECT_SECONDS = 5
_USER_TIMEOUT_MS = 10_000
"""A connection whose data is not acknowledged for so long is dead: less than a lease lasts."""

_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
"""Seconds of silence, seconds between probes, probes: an idle connection notices within 11 s."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS of the connection, in libpq's terms (sslmode, sslrootcert, sslcert, sslkey).

    *mode* ``None``: ``verify-full``, except on this host (a socket or a loopback address).
    """

    mode: Mode | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A database and a schema in it. *url* is a libpq URL; *password* replaces the one in it."""

    url: Secret
    schema: str = "email_connector"
    password: Secret | None = None
    tls: Tls = field(default_factory=Tls)

    def parameters(self, name: str) -> dict[str, str | int]:
        """Connection parameters for libpq; *name* is what the server shows of the connection."""
        given = parse_url(self.url.reveal())
        found: dict[str, str | int] = {
            "connect_timeout": _CONNECT_SECONDS,
            "tcp_user_timeout": _USER_TIMEOUT_MS,
            "target_session_attrs": "read-write",
            **_KEEPALIVE,
            **given,
            "application_name": name,
        }
        if self.password is not None:
            found["password"] = self.password.reveal()
        found.update(self._tls(given))
        return found

    def refresh(self) -> bool:
        """Read rotated secrets again; returns whether one changed."""
        secrets = [self.url] if self.password is None else [self.url, self.password]
        refreshed = [secret.refresh() for secret in secrets]
        return any(refreshed)

    def describe(self) -> str:
        """Host, port, database and schema; no user, no password."""
        given = parse_url(self.url.reveal())
        hosts = str(given.get("host", "localhost")).split(",")
        ports = str(given.get("port", "5432")).split(",")
        places = [f"{host}:{ports[at] if at < len(ports) else ports[-1]}" for at, host in enumerate(hosts)]
        return f"{','.join(places)}/{given.get('dbname', '')} schema {self.schema}"

    def mask(self, text: str) -> str:
        """*text* without the secrets of the server."""
        secrets = [self.url.reveal()] + ([self.password.reveal()] if self.password else [])
        return mask_secrets(text, secrets)

    @property
    def is_local(self) -> bool:
        """Whether every host is this one: a socket or a loopback address."""
        hosts = str(parse_url(self.url.reveal()).get("host", "")).split(",")
        return all(map(_is_local, hosts))

    def _tls(self, given: dict[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.tls.mode is not None:
            found["sslmode"] = self.tls.mode
        elif "sslmode" not in given:
            found["sslmode"] = "prefer" if self.is_local else "verify-full"
        mode = found.get("sslmode", given.get("sslmode", ""))
        if self.tls.ca_file is not None:
            found["sslrootcert"] = str(self.tls.ca_file)
        elif mode == "verify-full" and "sslrootcert" not in given:
            found["sslrootcert"] = "system"
        if self.tls.cert_file is not None:
            found["sslcert"] = str(self.tls.cert_file)
        if self.tls.key_file is not None:
            found["sslkey"] = str(self.tls.key_file)
        return found


def parse_url(url: str) -> dict[str, str]:
    """The parameters in a ``postgresql://`` URL. Raises ``ValueError`` that quotes nothing of it."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("expected a URL such as postgresql://user@host:5432/database")
    try:
        parsed = conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        raise ValueError(
            "not a valid PostgreSQL URL: percent-encode special characters, and look for misspelt parameters"
        ) from None
    return {name: str(value) for name, value in parsed.items() if value is not None}


def _is_local(host: str) -> bool:
    return not host or host.startswith(("/", "@")) or is_loopback(host)


RETRY_AT_ONCE = frozenset({"40001", "40P01"})
"""serialization_failure, deadlock_detected: nothing was stored, and the same may succeed at once."""

_AWAY = ("08", "53", "57P")
"""Classes of SQLSTATE: connection exceptions, insufficient resources, operator intervention."""

_AWAY_CODES = frozenset({"25006", "25P03", "25P04", "55P03", "57014", "57P01", "57P02", "57P03", "57P05"})
"""A standby (read only), timeouts of sessions, statements and locks, a server that stops or starts."""

_SIGN_IN = ("28",)
_REFUSED = {
    "authentication failed": "correct user and password",
    "not permitted to log in": "give the role LOGIN",
    "no password supplied": "set state.postgres.password",
    "no pg_hba.conf entry": "allow this host, user and database in pg_hba.conf",
    "certificate verify failed": "set state.postgres.tls.ca_file to the authority of the server",
    "does not support SSL": "enable TLS on the server, or set state.postgres.tls.mode",
    "server certificate for": "use the name in the certificate, or set state.postgres.tls.mode: verify-ca",
}
"""What a refused connection says, and what to do: libpq gives no SQLSTATE for it."""

_REFUSES = "refuses the connection"
_LASTING = (
    _REFUSES, "too many clients", "too many connections", "remaining connection slots", "read-only"
)  # fmt: skip
"""What the reason of an outage says that does not pass by itself. It may come after another one: whoever ends
the connections of a role that may not sign in any more lets them break first."""

_HINTS = {
    "3D000": "create the database, or correct the name in state.postgres.url",
    "3F000": "create the schema, or grant CREATE on the database",
    "42501": "grant what docs/high-availability.md lists",
    "42P01": "a table is missing: was the schema changed by somebody else?",
}


def is_lasting(reason: str) -> bool:
    """Whether *reason*, the text of an error, is one that somebody has to see to."""
    return any(text in reason for text in _LASTING)


def explain(error: psycopg.Error, server: Server) -> JournalError:
    """The journal's own error for *error*; its text holds no secret."""
    code = error.sqlstate or getattr(getattr(error, "pgconn", None), "sqlstate", None) or ""
    text = " ".join(server.mask(str(error)).split())
    place = f"PostgreSQL at {server.describe()}"
    refused = next((hint for what, hint in _REFUSED.items() if not code and what in text), None)
    if not code and "FATAL: " in text and "does not exist" in text:
        refused = _HINTS["3D000"] if "database" in text else "create the role, or correct the user"
    if refused or code.startswith(_SIGN_IN):
        return JournalBroken(f"{place} {_REFUSES}: {text}; {refused or 'correct the user'}")
    if code in RETRY_AT_ONCE or code in _AWAY_CODES or code.startswith(_AWAY):
        return JournalUnavailable(f"{place} is unavailable: {text}")
    if code in _HINTS:
        return JournalBroken(f"{place}: {text}; {_HINTS[code]}")
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        # Without a code: the connection could not be made, or broke.
        return JournalUnavailable(f"{place} is unavailable: {text}")
    return JournalError(f"{place}: {text} [{code}]")
