"""A real Kafka broker (KRaft) on loopback ports, plaintext and with TLS and SASL."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.support.collectors import free_port
from tests.support.programs import tool
from tests.support.server_process import ServerProcess

USER, PASSWORD = "connector", "canary-broker-77aa"
STRANGER = "stranger"
"""Knows the same password and may do nothing."""

_CREATE_SECONDS = 60.0
"""The most that a topic may take to appear on a busy machine."""

_LOGIN = "org.apache.kafka.common.security"
_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
num.network.threads=1
num.io.threads=2
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
auto.create.topics.enable=true
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{user}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
listener.name.sasl_ssl.plain.sasl.jaas.config={login}.plain.PlainLoginModule required \
user_{user}="{password}" user_{stranger}="{password}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config={login}.oauthbearer.OAuthBearerLoginModule required \
unsecuredLoginStringClaim_sub="broker";
"""


@dataclass(frozen=True)
class Stored:
    """One record of a topic."""

    partition: int
    key: bytes
    value: bytes
    headers: Mapping[str, str]


class KafkaBroker(ServerProcess):
    """One broker, which is its own controller. It creates topics on demand, unless a client forbids that.

    Args:
        command: how to start it.
        plain: port without TLS and SASL.
        secure: port with TLS and SASL.
        ca_file: the authority of its certificate.
        log: the file for its output.
    """

    def __init__(self, command: list[str | Path], plain: int, secure: int, ca_file: Path, log: Path) -> None:
        super().__init__(command, f"127.0.0.1:{plain}", "", log)
        self.port = plain
        self.address = f"127.0.0.1:{plain}"
        self.secure = f"127.0.0.1:{secure}"
        self.ca_file = ca_file

    async def create(self, topic: str, partitions: int = 1, **configuration: str) -> None:
        """Create a topic and wait until clients may use it; *configuration* with underscores for dots."""
        configs = {name.replace("_", "."): value for name, value in configuration.items()}
        async with self._admin() as admin, asyncio.timeout(_CREATE_SECONDS):
            answer = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
            for name, code, *reason in answer.topic_errors:
                assert not code, f"the broker did not create {name}: error {code} {reason}"
            # The controller answers once the topic is in its log; brokers learn of it later.
            while not _is_usable(topic, await admin.describe_topics()):  # noqa: ASYNC110, Kafka has no event for it
                await asyncio.sleep(0.01)

    async def topics(self) -> set[str]:
        """The names of all topics."""
        async with self._admin() as admin:
            return set(await admin.list_topics())

    async def records(self, topic: str) -> list[Stored]:
        """Every record of *topic*, in order within each partition."""
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=self.address, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            partitions = sorted(consumer.assignment())
            ends = await consumer.end_offsets(partitions)
            stored: list[Stored] = []
            while [one for one in partitions if await consumer.position(one) < ends[one]]:
                for found in (await consumer.getmany(timeout_ms=500)).values():
                    stored += [
                        Stored(one.partition, one.key, one.value, {n: v.decode() for n, v in one.headers})
                        for one in found
                    ]
            return stored
        finally:
            await consumer.stop()

    def persisted(self, count: int) -> bool:
        """Whether *count* events survive SIGKILL: what is acknowledged is in the page cache."""
        return True

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    def _healthy(self) -> bool:
        # It listens once it has read its data and may be asked.
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@contextmanager
def kafka_broker(directory: Path) -> Iterator[KafkaBroker]:
    """Run a broker with its data in *directory*."""
    java = tool("kafka-java")
    plain, secure, controller = free_port(), free_port(), free_port()
    directory.mkdir(exist_ok=True)
    ca_file, keystore = directory / "ca.pem", directory / "server.pem"
    _certificate(ca_file, keystore)
    settings = directory / "server.properties"
    settings.write_text(
        _SETTINGS.format(
            plain=plain,
            secure=secure,
            controller=controller,
            data=directory / "data",
            keystore=keystore,
            login=_LOGIN,
            user=USER,
            stranger=STRANGER,
            password=PASSWORD,
        )
    )
    scram = [
        argument
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for argument in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
    ]
    storage: list[str | Path] = [
        java,
        "kafka.tools.StorageTool",
        "format",
        "-t",
        "MkU3OEVBNTcwNTJENDM2Qg",
        "-c",
        settings,
    ]
    subprocess.run([*storage, *scram], check=True, capture_output=True)
    broker = KafkaBroker([java, "kafka.Kafka", settings], plain, secure, ca_file, directory / "log")
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def _is_usable(topic: str, described: list[dict[str, Any]]) -> bool:
    """Whether *topic* is described without an error, and each of its partitions has a leader."""
    return any(
        one["topic"] == topic
        and not one["error_code"]
        and all(not part["error_code"] for part in one["partitions"])
        for one in described
    )


def _certificate(ca_file: Path, keystore: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(ca_file))
    issued = ca.issue_cert("127.0.0.1")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    # The broker reads PKCS #8 only.
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    keystore.write_bytes(pem + b"".join(part.bytes() for part in issued.cert_chain_pems))
