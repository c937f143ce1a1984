"""Real servers that several tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.kafka import KafkaBroker, kafka_broker
from tests.support.opensearch import OpenSearch, opensearch_server


@pytest.fixture(scope="session")
def opensearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearch]:
    """A running OpenSearch node; a test that kills it starts it again."""
    with opensearch_server(tmp_path_factory.mktemp("opensearch")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A running Kafka broker; a test that kills it starts it again."""
    with kafka_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
