"""The connector's HTTP API."""

import ipaddress
import math
import os
import re
import ssl
import textwrap
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import quote

import httpx
from soar_sdk.exceptions import ActionFailure, AssetMisconfiguration
from soar_sdk.logging import getLogger

from .asset import Asset

WAIT_SECONDS = 20
"""Seconds that the connector may wait for the end of an action (at most 30)."""
SLACK_SECONDS = 20
"""Seconds that an answer may take on top of that."""
ATTEMPTS = 3
"""Requests of one call, where no answer comes or the connector asks to try again."""
LONGEST_PAUSE = 10.0
"""Most seconds between two attempts, whatever the connector asks for."""

logger = getLogger()


class NoAnswerError(ActionFailure):
    """The connector did not answer; whether it received the request is unknown."""


class RefusedError(ActionFailure):
    """The connector refused the call; ``code`` is its stable name of the reason (RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"The connector refused the call [{status}] {code}: {detail}")
        self.code = code


class Client:
    """One session with the connector; close it by leaving the context."""

    def __init__(self, asset: Asset) -> None:
        self._url = checked_url(asset.url)
        token = asset.token.strip()
        if not token or not re.fullmatch(r"[!-~]+", token):
            raise AssetMisconfiguration("token: expected printable ASCII without blanks")
        self._http = httpx.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {token}"},
            verify=tls_context(asset),
            timeout=WAIT_SECONDS + SLACK_SECONDS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Call the API; members of *query* without a value are left out.

        Repeating is safe for actions, too: each attempt has the same request_id, and is carried out once.

        Raises:
            RefusedError: with the connector's own explanation.
            NoAnswerError: after three attempts.
        """
        parameters = {
            name: text_of(value) for name, value in (query or {}).items() if value not in (None, "")
        }
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._http.request(method, path, json=body, params=parameters)
            except httpx.TransportError as error:
                failure: ActionFailure = NoAnswerError(
                    f"No answer from the connector at {self._url}: {error}"
                )
                pause = 1.0
            else:
                if response.is_success:
                    return document_of(response)
                failure = refusal_of(response)
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    raise failure
                after = response.headers.get("retry-after", "")
                pause = float(after) if after.isdecimal() else 1.0
            if attempt < ATTEMPTS:
                time.sleep(min(pause, LONGEST_PAUSE))
        raise failure

    def follow(self, action: dict[str, Any], seconds: float, *, through_approval: bool) -> dict[str, Any]:
        """Ask for *action* until it has ended, at most for *seconds*; its last state.

        Without *through_approval* an action that awaits approval is not waited for: that takes hours.
        """
        deadline = time.monotonic() + seconds
        while not action["ended"] and (left := deadline - time.monotonic()) > 0:
            if action["state"] == "awaiting_approval" and not through_approval:
                break
            logger.progress(f"{action['action']} is {action['state']}")
            asked = time.monotonic()
            wait = min(WAIT_SECONDS, math.ceil(left))
            action = self.call("GET", f"/v1/actions/{segment(action['id'])}", query={"wait": f"{wait}s"})
            if not action["ended"]:
                # An answer that came early must not become a storm of requests.
                time.sleep(max(0.0, min(asked + 1, deadline) - time.monotonic()))
        return action


def segment(text: str) -> str:
    """*text* as one segment of a path."""
    return quote(text, safe="")


def text_of(value: object) -> str:
    """A parameter as the API writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def document_of(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer."""
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise AssetMisconfiguration(
            f"{response.url} answers, but not as the connector does; is this the URL of its actions.listen?"
        )
    return document


def refusal_of(response: httpx.Response) -> ActionFailure:
    """What the connector says of a refusal."""
    try:
        problem = response.json()
        detail, pointer = problem["detail"], problem.get("pointer")
        return RefusedError(
            response.status_code, problem["code"], f"{detail} (at {pointer})" if pointer else detail
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return AssetMisconfiguration(
            f"{response.url} answers with HTTP {response.status_code}, but not as the connector does; "
            "is this the URL of its actions.listen?"
        )


def checked_url(text: str) -> str:
    """The URL of the connector; the token is sent over TLS, or not off this machine."""
    try:
        url = httpx.URL(text.strip().rstrip("/"))
        loopback = url.host == "localhost" or ipaddress.ip_address(url.host).is_loopback
    except httpx.InvalidURL as error:
        raise AssetMisconfiguration(f"url: {error}") from None
    except ValueError:
        loopback = False
    if not url.host or not (url.scheme == "https" or (url.scheme == "http" and loopback)):
        raise AssetMisconfiguration(
            f"url: expected https://HOST:PORT (http:// for localhost only), got {text}"
        )
    return str(url)


def tls_context(asset: Asset) -> ssl.SSLContext:
    """How the connector proves who it is, and how this SOAR does."""
    place = "ca_certificate"
    try:
        if asset.ca_certificate:
            context = ssl.create_default_context(cadata=pem(asset.ca_certificate))
        else:
            context = httpx.create_ssl_context()
            if bundle := os.environ.get("REQUESTS_CA_BUNDLE"):
                # Where the platform adds the authorities that its administrators trust.
                context.load_verify_locations(bundle)
        if not asset.verify_server_cert:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if asset.client_certificate:
            place = "client_certificate and client_key"
            with TemporaryDirectory() as folder:
                # Python reads them from a file only; the directory is readable by this user alone.
                file = Path(folder) / "client.pem"
                file.write_text(pem(asset.client_certificate) + pem(asset.client_key or ""))
                context.load_cert_chain(file)
    except (OSError, ValueError) as error:
        raise AssetMisconfiguration(f"{place}: expected PEM, got what OpenSSL refuses: {error}") from None
    return context


def pem(text: str) -> str:
    """PEM with the lines that OpenSSL expects: a password field of the platform has only one."""

    def lines(found: re.Match[str]) -> str:
        content = textwrap.fill("".join(found[2].split()), 64)
        return f"{found[1]}\n{content}\n{found[3]}\n"

    return re.sub(
        r"(-----BEGIN [A-Z0-9 ]+-----)(.*?)(-----END [A-Z0-9 ]+-----)", lines, text, flags=re.DOTALL
    )
