"""Real syslog daemons on loopback ports, storing what they received as JSON, one message per line."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from tests.support.collectors import free_port
from tests.support.programs import missing, program

PATIENCE = 60.0
"""Seconds until a daemon must have stored everything; only a broken one takes that long."""

RSYSLOG = """
global(workDirectory="{directory}" maxMessageSize="64k")
module(load="imtcp")
module(load="imudp")
input(type="imtcp" port="{tcp}" address="127.0.0.1")
input(type="imudp" port="{udp}" address="127.0.0.1" rcvbufSize="1m")
template(name="record" type="list" option.jsonf="on") {{
  property(outname="message" name="msg" format="jsonf")
  property(outname="raw" name="rawmsg" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="tag" name="syslogtag" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="severity" name="syslogseverity" format="jsonf")
  property(outname="facility" name="syslogfacility-text" format="jsonf")
}}
action(type="omfile" file="{directory}/stored.ndjson" template="record" asyncWriting="off" flushOnTXEnd="on")
"""

RSYSLOG_TLS = """
global(
  defaultNetstreamDriverCAFile="{directory}/ca.pem"
  defaultNetstreamDriverCertFile="{directory}/server.pem"
  defaultNetstreamDriverKeyFile="{directory}/server.key")
input(type="imtcp" port="{tls}" address="127.0.0.1" streamDriver.name="gtls" streamDriver.mode="1"
  streamDriver.authMode="x509/name" permittedPeer=["client.example"])
"""

SYSLOG_NG = """
@version: 3.35
options {{ keep-hostname(yes); chain-hostnames(no); log-msg-size(65536); stats-freq(0); }};
source s_ietf {{ syslog(ip(127.0.0.1) port({tcp}) transport("tcp")); }};
source s_tls {{
  syslog(ip(127.0.0.1) port({tls}) transport("tls")
    tls(key-file("{directory}/server.key") cert-file("{directory}/server.pem")
      ca-file("{directory}/ca.pem") peer-verify(required-trusted)));
}};
source s_lines {{ network(ip(127.0.0.1) port({lines}) transport("tcp") flags(syslog-protocol)); }};
source s_udp {{ syslog(ip(127.0.0.1) port({udp}) transport("udp") so-rcvbuf(1048576)); }};
destination d_file {{
  file("{directory}/stored.ndjson" template("$(format-json message=$MESSAGE host=$HOST app=$PROGRAM
    msgid=$MSGID time=$S_ISODATE severity=$LEVEL_NUM facility=$FACILITY)\\n") flush-lines(1));
}};
log {{ source(s_ietf); source(s_tls); source(s_lines); source(s_udp); destination(d_file); }};
"""


@dataclass
class Daemon:
    """A running daemon; ports by transport, and the files of a client that it trusts."""

    ports: dict[str, int]
    directory: Path

    @property
    def tls(self) -> dict[str, str]:
        """What an output needs to be believed, and to believe."""
        return {"ca_file": f"{self.directory}/ca.pem", "cert_file": f"{self.directory}/client.pem"}

    def lines(self, count: int) -> list[dict[str, Any]]:
        """What was stored, once it is *count* messages."""
        stored = self.directory / "stored.ndjson"
        deadline = time.monotonic() + PATIENCE
        lines: list[bytes] = []
        while time.monotonic() < deadline:
            lines = stored.read_bytes().splitlines() if stored.exists() else []
            if len(lines) >= count:
                return [json.loads(line) for line in lines]
            time.sleep(0.05)
        raise AssertionError(f"{len(lines)} of {count} messages were stored")


@contextmanager
def rsyslog(directory: Path, *, tls: bool = False) -> Iterator[Daemon]:
    """Run rsyslogd, with *tls* on a port of its own too; it reads both framings on each port."""
    binary = program("rsyslogd", "rsyslog")
    if tls and not any(Path("/usr").glob("lib*/**/rsyslog/lmnsd_gtls.so")):
        missing("rsyslog has no driver for TLS (Debian: rsyslog-gnutls)")
    ports = _ports("tcp", "udp", *(["tls"] if tls else []))
    _certificates(directory)
    config = directory / "rsyslog.conf"
    config.write_text((RSYSLOG + (RSYSLOG_TLS if tls else "")).format(directory=directory, **ports))
    with _running([binary, "-n", "-f", str(config), "-i", str(directory / "pid")], ports):
        yield Daemon(ports, directory)


@contextmanager
def syslog_ng(directory: Path) -> Iterator[Daemon]:
    """Run syslog-ng; ``tcp`` and ``tls`` count octets, ``lines`` reads lines."""
    binary = program("syslog-ng", "syslog-ng-core")
    ports = _ports("tcp", "udp", "tls", "lines")
    _certificates(directory)
    config = directory / "syslog-ng.conf"
    config.write_text(SYSLOG_NG.format(directory=directory, **ports))
    files = ["-R", "persist", "-p", "pid", "-c", "control"]
    paths = [part if part.startswith("-") else str(directory / part) for part in files]
    with _running([binary, "-F", "--no-caps", "-f", str(config), *paths], ports):
        yield Daemon(ports, directory)


def _ports(*names: str) -> dict[str, int]:
    return {name: free_port() for name in names}


def _certificates(directory: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(directory / "ca.pem")
    server = ca.issue_cert("127.0.0.1")
    server.private_key_pem.write_to_path(directory / "server.key")
    for index, pem in enumerate(server.cert_chain_pems):
        pem.write_to_path(directory / "server.pem", append=index > 0)
    client = ca.issue_cert("client.example", common_name="client.example")
    client.private_key_and_cert_chain_pem.write_to_path(directory / "client.pem")


@contextmanager
def _running(command: Sequence[str], ports: dict[str, int]) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for name, port in ports.items():
            if name != "udp":
                _wait_for(process, port)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, "the daemon ended at once"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the daemon does not listen")
