"""TLS client options and the SSL context built from them.

The system's trust store is the default; ``ca_file`` replaces it, so a private CA is the only one trusted.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connector.errors import ConfigurationError, Problem
from connector.secret import Secret

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsOptions(BaseModel):
    """How to verify the server, and which client certificate to present."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    ca_file: Path | None = Field(
        default=None, description="PEM file of the CAs to trust instead of the system's."
    )
    cert_file: Path | None = Field(default=None, description="PEM file of the client certificate.")
    key_file: Path | None = Field(
        default=None, description="PEM file of the client key, if cert_file does not contain it."
    )
    key_password: Secret | None = Field(default=None, description="Password of the client key.")
    server_name: str | None = Field(
        default=None,
        min_length=1,
        description="Name expected in the server's certificate instead of the host name of the URL.",
    )
    verify: bool = Field(
        default=True,
        description="Verify the server's certificate. Without it, anyone on the path can read the traffic.",
    )
    minimum: Literal["1.2", "1.3"] = Field(default="1.2", description="Oldest TLS version accepted.")

    @model_validator(mode="after")
    def _complete(self) -> TlsOptions:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file requires cert_file: a key is useless without its certificate")
        if self.key_password is not None and self.cert_file is None:
            raise ValueError("key_password requires cert_file: there is no key to decrypt")
        return self


class _NamedContext(ssl.SSLContext):
    """A context that expects one server name, whatever host is connected to.

    The HTTP library drops its own option for this when it connects through a proxy.
    """

    expected: str | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        name = self.expected or server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, name, session)


def client_context(options: TlsOptions | None = None) -> ssl.SSLContext:
    """Create a context for outgoing connections.

    Raises:
        ConfigurationError: a file cannot be used; names the file and the fix.
    """
    options = options or TlsOptions()
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.expected = options.server_name
    context.minimum_version = _VERSIONS[options.minimum]
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load_authorities(context, options)
    _load_certificate(context, options)
    return context


def _load_authorities(context: ssl.SSLContext, options: TlsOptions) -> None:
    if options.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return
    try:
        context.load_verify_locations(cafile=options.ca_file)
    except ssl.SSLError:
        raise _unusable("ca_file", options.ca_file, "it contains no PEM certificate") from None
    except OSError as error:
        raise _unreadable("ca_file", options.ca_file, error) from None


def _load_certificate(context: ssl.SSLContext, options: TlsOptions) -> None:
    if options.cert_file is None:
        return
    for name, path in (("cert_file", options.cert_file), ("key_file", options.key_file)):
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            raise _unreadable(name, path, error) from None
    # Without a callable OpenSSL prompts for the password on the terminal.
    password = options.key_password.reveal() if options.key_password else ""
    try:
        context.load_cert_chain(options.cert_file, options.key_file, lambda: password)
    except ssl.SSLError as error:
        raise _unusable("cert_file", options.cert_file, _certificate_fault(error, options)) from None


def _certificate_fault(error: ssl.SSLError, options: TlsOptions) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {options.key_file or options.cert_file} does not match the certificate"
    if error.reason in {"BAD_DECRYPT", "BAD_PASSWORD_READ", "BAD_PASSWORD", "PKCS12_CIPHERFINAL_ERROR"}:
        return "the key is encrypted and key_password does not decrypt it"
    return "certificate or key is not valid PEM, or key_password does not decrypt the key"


def _unreadable(name: str, path: Path | None, error: OSError) -> ConfigurationError:
    why = error.strerror or type(error).__name__
    return ConfigurationError(
        Problem(
            f"tls.{name}: cannot read {path}: {why}",
            hint="check that the file exists and is readable by the connector's user",
        )
    )


def _unusable(name: str, path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        Problem(
            f"tls.{name}: {path} cannot be used: {why}",
            hint="expected PEM files with the whole chain, leaf certificate first",
        )
    )
