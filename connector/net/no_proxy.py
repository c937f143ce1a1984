"""Which proxy a request takes: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``.

The variables are parsed here because clients disagree about them, and clusters set what few of them read:
names, suffixes, ports, addresses and networks of both families, IPv6 with and without brackets.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import TypeAlias

from connector.secret import urlsplit_uncached
from connector.values import dataclass

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"http": 80, "https": 443}
_BRACKETED = re.compile(r"\[([^\]]*)\](?::(\d+))?(/\d+)?")
_NAME = re.compile(r"[\w*.-]+")


@dataclass(frozen=True, slots=True)
class _Rule:
    """One entry: a network, or a name in lower case without a leading dot; *port* where it names one."""

    network: _Network | None
    name: str
    port: int | None
    subdomains_only: bool = False


class NoProxy:
    """The exceptions of one ``NO_PROXY`` value; entries are separated by commas or blanks.

    - ``*``: every host.
    - ``corp.example``: the host and all hosts below; ``.corp.example`` and ``*.corp.example``: hosts below.
    - ``192.0.2.7``, ``2001:db8::7``, ``[::1]``: an address. ``10.0.0.0/8``, ``fd00::/8``: a network.
    - Any of them with ``:port``; an IPv6 address needs brackets then.

    Names are not resolved: a network matches only hosts given as addresses. Other entries are ignored and
    listed in *invalid*.
    """

    def __init__(self, text: str) -> None:
        self.all = False
        self.invalid: tuple[str, ...] = ()
        self._rules: list[_Rule] = []
        for entry in re.split(r"[\s,]+", text.strip()):
            rule = _parse(entry)
            if entry == "*":
                self.all = True
            elif rule is not None:
                self._rules.append(rule)
            elif entry:
                self.invalid += (entry,)

    def matches(self, host: str, port: int) -> bool:
        """Whether *host* (without brackets) at *port* is reached directly."""
        name = host.lower().rstrip(".")
        address = _address(name)
        return self.all or any(
            rule.port in {None, port} and _is_covered(rule, name, address) for rule in self._rules
        )


@dataclass(frozen=True, slots=True)
class ProxyRoute:
    """How a host is reached: directly, or by *proxy*, a URL with credentials; *reason* names the setting."""

    proxy: str | None
    reason: str = ""

    @property
    def address(self) -> str:
        """Host and port of the proxy, and the setting that names it; empty without one."""
        if self.proxy is None:
            return ""
        parts = urlsplit_uncached(self.proxy)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port or _PORTS.get(parts.scheme, 80)} ({self.reason})"

    def __str__(self) -> str:
        if self.proxy is None:
            return "directly" + (f" ({self.reason})" if self.reason else "")
        return f"through the proxy {self.address}"


class ProxyEnvironment:
    """The proxy variables of an environment, lower case first, as most programs read them."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self.exceptions = NoProxy(_variable(environ, "NO_PROXY")[1])
        self.proxies: dict[str, tuple[str, str]] = {}
        """Name of the variable and URL of the proxy, by scheme."""
        for scheme in _PORTS:
            name, value = _variable(environ, f"{scheme.upper()}_PROXY")
            if not value:
                name, value = _variable(environ, "ALL_PROXY")
            if value:
                self.proxies[scheme] = (name, with_scheme(value))

    def route(self, scheme: str, host: str, port: int | None) -> ProxyRoute:
        """Return how *host* is reached with *scheme* (``http`` or ``https``)."""
        if scheme not in self.proxies:
            return ProxyRoute(None)
        if self.exceptions.matches(host, port or _PORTS[scheme]):
            return ProxyRoute(None, "NO_PROXY")
        name, proxy = self.proxies[scheme]
        return ProxyRoute(proxy, name)


def route_of(url: str, proxy: str | None, environ: Mapping[str, str] | None = None) -> ProxyRoute:
    """Return how *url* is reached: through *proxy* if one is configured, else as the environment says.

    Raises ``ValueError`` for a URL whose port is not a number.
    """
    if proxy:
        return ProxyRoute(with_scheme(proxy), "proxy setting")
    parts = urlsplit_uncached(url)
    return ProxyEnvironment(environ).route(parts.scheme.lower(), parts.hostname or "", parts.port)


def with_scheme(proxy: str) -> str:
    """Return the URL of a proxy; one without a scheme is an HTTP proxy."""
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    for spelling in (name.lower(), name):
        if spelling in environ:
            return name, environ[spelling].strip()
    return name, ""


def _parse(entry: str) -> _Rule | None:
    text = entry.partition("://")[2] or entry
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed is not None:
        network = _network(bracketed[1] + (bracketed[3] or ""))
        return _Rule(network, "", int(bracketed[2]) if bracketed[2] else None) if network else None
    network = _network(text)
    if network is not None:
        return _Rule(network, "", None)
    name, colon, digits = text.rpartition(":")
    port = int(digits) if colon and digits.isascii() and digits.isdigit() else None
    name = (name if port is not None else text).lower()
    network = _network(name)
    if network is not None:
        return _Rule(network, "", port)
    bare = name.removeprefix("*").removeprefix(".").rstrip(".")
    if not bare or "*" in bare or not _NAME.fullmatch(bare):
        return None
    return _Rule(None, bare, port, subdomains_only=name != bare and name.rstrip(".") != bare)


def _network(text: str) -> _Network | None:
    try:
        network = ipaddress.ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= _MAPPED_PREFIX:
        return ipaddress.ip_network(f"{mapped}/{network.prefixlen - _MAPPED_PREFIX}", strict=False)
    return network


_MAPPED_PREFIX = 96
"""Length of ``::ffff:0:0``, the prefix of IPv4 addresses written as IPv6."""


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_covered(rule: _Rule, name: str, address: _Address | None) -> bool:
    if rule.network is not None:
        return address is not None and address.version == rule.network.version and address in rule.network
    if address is not None:
        return False
    return name.endswith(f".{rule.name}") or (name == rule.name and not rule.subdomains_only)
