"""With ``client_ca_file``, a caller without a certificate of that authority never gets to send its token."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import trustme

from tests.support.acting_daemon import CALLER_TOKEN, acting_daemon

pytestmark = pytest.mark.slow


def test_a_caller_needs_a_certificate_and_a_token(tmp_path: Path) -> None:
    place = tmp_path / "site"
    place.mkdir()
    authority, foreign = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(place / "authority.pem")
    server = authority.issue_cert("127.0.0.1")
    server.private_key_and_cert_chain_pem.write_to_path(place / "server.pem")

    def ask(url: str, client: trustme.LeafCert | None, token: str = CALLER_TOKEN) -> str:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if client is not None:
            client.configure_cert(context)
        request = urllib.request.Request(f"{url}/v1/caller", headers={"authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return str(json.load(answer)["caller"])

    with acting_daemon(place, "tls: {cert_file: server.pem, client_ca_file: authority.pem}") as daemon:
        assert daemon.url.startswith("https://")
        assert ask(daemon.url, authority.issue_cert("soar@corp.example")) == "soc"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(daemon.url, authority.issue_cert("soar@corp.example"), "wrong")
        for stranger in (None, foreign.issue_cert("soar@corp.example")):
            with pytest.raises((OSError, http.client.HTTPException)) as refused:
                ask(daemon.url, stranger)
            assert not isinstance(refused.value, urllib.error.HTTPError)
