"""Syslog collector addresses, as configured: ``tls://siem.example:6514``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, cast, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from connector.net.host_names import is_host_name
from connector.outputs.shared.sockets import peer_name

Transport = Literal["udp", "tcp", "tls"]
_EXPECTED = (
    "expected an address, such as tls://siem.example:6514, tcp://[2001:db8::1]:514 or udp://10.0.0.5:514"
)


@dataclass(frozen=True, slots=True)
class Address:
    """One collector. *host* is a name or an IP address without brackets."""

    transport: Transport
    host: str
    port: int

    @property
    def peer(self) -> str:
        """Host and port, for messages."""
        return peer_name(self.host, self.port)

    def __str__(self) -> str:
        return f"{self.transport}://{self.peer}"


def parse_address(text: str) -> Address:
    """Parse one address; raises ValueError that says what is expected."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError(_EXPECTED) from None
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password
    host = parts.hostname or ""
    if parts.scheme not in get_args(Transport) or not host or not port or extra or not is_host_name(host):
        raise ValueError(_EXPECTED)
    return Address(cast("Transport", parts.scheme), host, port)


def is_udp(written: object) -> bool:
    """Whether configured addresses are UDP; invalid ones are reported by ``parse_address``."""
    first = written[0] if isinstance(written, list | tuple) and written else written
    return str(first).strip().lower().startswith("udp:")


def _to_addresses(value: object) -> tuple[Address, ...]:
    items = value if isinstance(value, (list, tuple)) else [value]
    if not items:
        raise ValueError(_EXPECTED)
    addresses = []
    for item in items:
        if not isinstance(item, (str, Address)):
            raise ValueError(_EXPECTED)  # noqa: TRY004, pydantic reports ValueError
        addresses.append(parse_address(item) if isinstance(item, str) else item)
    if len({address.transport for address in addresses}) > 1:
        raise ValueError("all addresses must have the same transport: failover must not weaken it")
    return tuple(addresses)


def _to_plain(addresses: tuple[Address, ...]) -> str | list[str]:
    texts = [str(address) for address in addresses]
    return texts[0] if len(texts) == 1 else texts


_SCHEMA = {
    "type": "string",
    "pattern": "^(udp|tcp|tls)://.+:[0-9]+$",
    "examples": ["tls://siem.example:6514"],
}

Addresses = Annotated[
    tuple[Address, ...],
    BeforeValidator(_to_addresses),
    PlainSerializer(_to_plain),
    WithJsonSchema({"anyOf": [_SCHEMA, {"type": "array", "items": _SCHEMA, "minItems": 1}]}),
]
"""A field of a settings model: one address or several of the same transport."""
