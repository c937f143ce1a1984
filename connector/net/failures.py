"""Classifies network and TLS failures and words them for an operator, without any credential in the text."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterable, Iterator

from connector.net.transport import TransportError, Unreachable, Untrusted

_CLIENT_CERTIFICATE_REFUSED = (
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REQUIRED",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_UNKNOWN",
    "UNSUPPORTED_CERTIFICATE",
)
_NO_COMMON_TLS = ("ALERT_HANDSHAKE_FAILURE", "ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL")

_UNKNOWN_AUTHORITY = "set tls.ca_file to the CA that signed it"
_OTHER_NAME = "set tls.server_name if it was issued for another name"
_VERIFICATION_ADVICE = {
    9: "check the clock of this host; else the certificate was installed too early",
    10: "renew the certificate, or the one of its CA, on the server; check the clock of this host",
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}
"""What to do by the code of OpenSSL (``X509_V_ERR_...``): not yet valid, expired, other name or address."""


def classify_error(peer: str, error: BaseException, *, connecting: bool) -> TransportError:
    """Classify *error* by its chain of causes; *peer* is ``host:port``.

    *connecting*: the connection was never established, as opposed to one that broke.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLError) and cause.reason:
            return _tls_fault(peer, cause)
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return Unreachable(f"{peer}: cannot resolve the host name ({cause.strerror})")
    reason = _system_reason(causes)
    if connecting:
        return Unreachable(f"{peer}: {reason or 'cannot connect'}")
    return TransportError(f"{peer}: {reason or 'the connection closed before the response was complete'}")


def _system_reason(causes: Iterable[BaseException]) -> str:
    """Name the first system error in the words of the C library.

    The texts of event loops differ: asyncio says "Connect call failed", uvloop "Multiple exceptions".
    """
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno in errno.errorcode:
            return os.strerror(cause.errno).lower()
    return ""


def _tls_fault(peer: str, error: ssl.SSLError) -> TransportError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Untrusted(
            f"{peer}: certificate not trusted: {error.verify_message.rstrip('.')}; "
            f"{_VERIFICATION_ADVICE.get(error.verify_code, _UNKNOWN_AUTHORITY)}"
        )
    reason = error.reason
    if any(word in reason for word in _CLIENT_CERTIFICATE_REFUSED):
        return Untrusted(
            f"{peer}: the client certificate was refused ({_words(reason)}); check tls.cert_file"
        )
    if any(word in reason for word in _NO_COMMON_TLS):
        return Untrusted(
            f"{peer}: TLS handshake failed ({_words(reason)}); the server may require a client certificate "
            "(tls.cert_file) or another version (tls.minimum)"
        )
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return TransportError(f"{peer}: no TLS on this port ({_words(reason)})")
    return TransportError(f"{peer}: TLS failed ({_words(reason)})")


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all its causes, nearest first; exception groups are unpacked."""
    queue, seen = [error], set()
    while queue:
        current = queue.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            queue.extend(current.exceptions)
        queue.extend(cause for cause in (current.__cause__, current.__context__) if cause is not None)
