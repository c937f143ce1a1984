"""Certificates of listeners follow their files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest
import trustme

from connector.app.build import Core, server_tls
from connector.app.monitor import watch_certificates
from connector.errors import ConfigurationError
from connector.net.certificate import ServerCertificate
from connector.settings.process import ServerTls
from tests.support.jumping_loop import run


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def issue(authority: trustme.CA, directory: Path, *, key: bool = True) -> None:
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(directory / "tls.crt"))
    if key:
        issued.private_key_pem.write_to_path(str(directory / "tls.key"))


def certificate_of(directory: Path) -> ServerCertificate:
    files = ServerTls(cert_file=directory / "tls.crt", key_file=directory / "tls.key")
    certificate = server_tls(files, "my.tls")
    assert certificate is not None
    return certificate


def test_files_that_did_not_change_are_not_read_again(authority: trustme.CA, tmp_path: Path) -> None:
    issue(authority, tmp_path)
    certificate = certificate_of(tmp_path)
    first = certificate()

    assert certificate.refresh() is False
    assert certificate() is first
    issue(authority, tmp_path)
    assert certificate.refresh() is True
    assert certificate() is not first


@pytest.mark.parametrize("damage", ["unfitting", "garbage", "gone"])
def test_what_cannot_be_used_is_told_once_and_the_former_certificate_stays(
    authority: trustme.CA, tmp_path: Path, damage: str
) -> None:
    issue(authority, tmp_path)
    certificate = certificate_of(tmp_path)
    former = certificate()
    match damage:
        case "unfitting":  # the certificate was replaced, the key not yet
            issue(authority, tmp_path, key=False)
        case "garbage":
            (tmp_path / "tls.crt").write_text("no certificate")
        case _:
            (tmp_path / "tls.crt").unlink()

    with pytest.raises(ConfigurationError, match=r"my\.tls"):
        certificate.refresh()

    assert certificate.refresh() is False
    assert certificate() is former
    issue(authority, tmp_path)
    assert certificate.refresh() is True


def test_certificates_are_looked_at_every_minute() -> None:
    class Counting:
        looks = 0

        def refresh_certificates(self) -> None:
            self.looks += 1

    async def story() -> int:
        core = Counting()
        watching = asyncio.create_task(watch_certificates(cast("Core", core)))
        await asyncio.sleep(150)
        watching.cancel()
        return core.looks

    assert run(story()) == 2
