"""syslog over TLS: who is believed, and that a refused certificate never looks like a delivery."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Hold, Retryable
from connector.outputs.syslog.output import SyslogOutput, SyslogSettings
from connector.testing.outputs import events
from tests.support.collectors import authority, stream_collector, unobserved, until


def output(port: int, **tls: Any) -> SyslogOutput:
    address = f"tls://127.0.0.1:{port}"
    settings = SyslogSettings.model_validate({"address": address, "tls": tls, "timeout": "5s"})
    return settings.build("siem", unobserved)


async def test_messages_are_counted_in_octets(tmp_path: Path) -> None:
    trusted = authority(tmp_path)
    async with stream_collector(tls=trusted.server) as collector:
        siem = output(collector.port, ca_file=trusted.ca_file)
        await siem.send(events(2))
        await siem.close()
        await until(lambda: len(collector.messages()) == 2)
        assert bytes(collector.connections[0][:1]).isdigit()
        assert collector.torn() == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_shown_when_asked_for(tmp_path: Path, version: ssl.TLSVersion) -> None:
    trusted = authority(tmp_path)
    trusted.server.verify_mode = ssl.CERT_REQUIRED
    trusted.server.minimum_version = trusted.server.maximum_version = version
    async with stream_collector(tls=trusted.server) as collector:
        siem = output(collector.port, ca_file=trusted.ca_file, cert_file=trusted.cert_file)
        assert version.name.replace("_", ".") in await siem.check()
        await siem.send(events(1))
        await siem.close()
        await until(collector.messages)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_missing_client_certificate_is_noticed_before_anything_is_accepted(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    trusted = authority(tmp_path)
    trusted.server.verify_mode = ssl.CERT_REQUIRED
    trusted.server.minimum_version = trusted.server.maximum_version = version
    async with stream_collector(tls=trusted.server) as collector:
        siem = output(collector.port, ca_file=trusted.ca_file)
        for attempt in (siem.open(), siem.send(events(1))):
            with pytest.raises((Hold, Retryable)):
                await attempt
        await siem.close()
        assert collector.messages() == []


async def test_an_untrusted_collector_is_for_an_operator(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    ours, theirs = authority(tmp_path / "ours"), authority(tmp_path / "theirs")
    async with stream_collector(tls=theirs.server) as collector:
        siem = output(collector.port, ca_file=ours.ca_file)
        with pytest.raises(Hold, match="not trusted"):
            await siem.send(events(1))
        assert collector.messages() == []


async def test_a_certificate_for_another_name_is_for_an_operator_until_the_name_is_given(
    tmp_path: Path,
) -> None:
    trusted = authority(tmp_path, "siem.example")
    async with stream_collector(tls=trusted.server) as collector:
        with pytest.raises(Hold, match="not trusted"):
            await output(collector.port, ca_file=trusted.ca_file).open()
        siem = output(collector.port, ca_file=trusted.ca_file, server_name="siem.example")
        await siem.open()
        await siem.close()


async def test_an_authority_that_appears_later_is_read_without_a_restart(tmp_path: Path) -> None:
    trusted = authority(tmp_path)
    later = tmp_path / "later.pem"
    async with stream_collector(tls=trusted.server) as collector:
        siem = output(collector.port, ca_file=str(later))
        with pytest.raises(Hold, match=r"tls\.ca_file: cannot read"):
            await siem.open()
        shutil.copy(trusted.ca_file, later)
        await siem.open()
        await siem.send(events(1))
        await siem.close()
        await until(collector.messages)


async def test_a_port_without_tls_is_named_as_such(tmp_path: Path) -> None:
    trusted = authority(tmp_path)
    async with stream_collector() as collector:
        collector.reading.clear()
        siem = SyslogSettings.model_validate(
            {
                "address": f"tls://127.0.0.1:{collector.port}",
                "timeout": "200ms",
                "tls": {"ca_file": trusted.ca_file},
            }
        ).build("siem", unobserved)
        with pytest.raises(Retryable, match="no connection within"):
            await siem.open()
