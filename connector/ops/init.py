"""``init``: a commented first configuration for one collector, made of a few answers. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

ACCOUNT_ID = "account_id"


@dataclass(frozen=True, slots=True)
class Question:
    """One value that only the user knows.

    Args:
        key: its name in the recipe, and with dashes its option on the command line.
        text: what to ask, as a noun.
        example: a valid answer.
    """

    key: str
    text: str
    example: str


URL = Question("url", "URL of the collector", "https://collector.example:8088")
ADDRESS = Question("address", "Address of the receiver", "tls://siem.example:6514")
PATH = Question("path", "File to write", "events.ndjson")
USERNAME = Question("username", "User name", "email_connector")


@dataclass(frozen=True, slots=True)
class CollectorRecipe:
    """The ``outputs`` section for one collector.

    Args:
        title: the product, as its vendor writes it.
        page: its page of the documentation.
        output: YAML below ``outputs:``; ``{key}`` is an answer, ``{secret:name}`` a reference to a secret.
        questions: what has to be answered.
        secrets: names of secrets, in lower case; as variables they are in upper case.
        setup: whether ``check --setup`` prepares the collector for its first event.
    """

    title: str
    page: str
    output: str
    questions: tuple[Question, ...] = ()
    secrets: tuple[str, ...] = ()
    setup: bool = False


_SYSLOG = """\
  {name}:
    type: syslog
    address: {{address}}       # udp://, tcp:// or tls://host:port; a list fails over
    profile: {profile}
    # tls: {{{{ca_file: /etc/email-connector/ca.pem}}}}       # a private authority, with tls:// addresses
"""


def _syslog(title: str, page: str, profile: str, example: str) -> CollectorRecipe:
    output = _SYSLOG.format(name=profile, profile=profile)
    return CollectorRecipe(title, page, output, (Question("address", ADDRESS.text, example),))


RECIPES: Mapping[str, CollectorRecipe] = {
    "splunk": CollectorRecipe(
        "Splunk Enterprise or Splunk Cloud (HTTP Event Collector)",
        "docs/collectors/splunk.md",
        """\
  splunk:
    type: splunk_hec
    url: {url}       # a list fails over between indexers
    token: {secret:splunk_hec_token}
    mapping: cim       # fits Splunk's data models; ecs, ocsf, cef and raw work too
    # index: email       # default: the index of the token
    # tls: {{ca_file: /etc/email-connector/splunk-ca.pem}}
""",
        (Question("url", URL.text, "https://splunk.example:8088"),),
        ("splunk_hec_token",),
    ),
    "elasticsearch": CollectorRecipe(
        "Elasticsearch or Elastic Cloud",
        "docs/collectors/elasticsearch.md",
        """\
  elasticsearch:
    type: elasticsearch
    url: {url}       # a list fails over between nodes
    api_key: {secret:elasticsearch_api_key}
    mapping: ecs
    # tls: {{ca_file: /etc/email-connector/elastic-ca.pem}}
""",
        (Question("url", URL.text, "https://elastic.example:9200"),),
        ("elasticsearch_api_key",),
        setup=True,
    ),
    "opensearch": CollectorRecipe(
        "OpenSearch or Amazon OpenSearch Service",
        "docs/collectors/opensearch.md",
        """\
  opensearch:
    type: elasticsearch       # detects OpenSearch
    url: {url}
    username: {username}
    password: {secret:opensearch_password}
    mapping: ecs
    # tls: {{ca_file: /etc/email-connector/opensearch-ca.pem}}
""",
        (Question("url", URL.text, "https://opensearch.example:9200"), USERNAME),
        ("opensearch_password",),
        setup=True,
    ),
    "otlp": CollectorRecipe(
        "an OpenTelemetry collector (Grafana, Dynatrace, New Relic, Elastic, any OTLP endpoint)",
        "docs/collectors/otlp.md",
        """\
  otlp:
    type: otlp
    url: {url}       # /v1/logs is added to a base URL
    # Which header carries the token, by product: docs/collectors/otlp.md.
    headers: {{Authorization: "{secret:otlp_authorization}"}}
    mapping: ecs
    # tls: {{ca_file: /etc/email-connector/collector-ca.pem}}
""",
        (Question("url", URL.text, "https://otel.example:4318"),),
        ("otlp_authorization",),
    ),
    "kafka": CollectorRecipe(
        "Apache Kafka, or a service that speaks its protocol",
        "docs/collectors/kafka.md",
        """\
  kafka:
    type: kafka
    brokers: {brokers}       # a list is better: [kafka1.example:9093, kafka2.example:9093]
    topic: {topic}       # it must exist
    tls: {{}}       # {{ca_file: /etc/email-connector/kafka-ca.pem}} for a private authority
    sasl:
      scram_sha_512:       # or scram_sha_256, plain, oauth2
        username: {username}
        password: {secret:kafka_password}
    mapping: ecs
""",
        (
            Question("brokers", "Broker, host:port", "kafka1.example:9093"),
            Question("topic", "Topic", "email-security"),
            USERNAME,
        ),
        ("kafka_password",),
    ),
    "qradar": _syslog("IBM QRadar", "docs/collectors/qradar.md", "qradar", "tls://qradar.example:6514"),
    "arcsight": _syslog(
        "OpenText ArcSight", "docs/collectors/arcsight.md", "arcsight", "tcp://smartconnector.example:1514"
    ),
    "sentinel": CollectorRecipe(
        "Microsoft Sentinel (Logs Ingestion API)",
        "docs/collectors/sentinel.md",
        """\
  sentinel:
    type: sentinel
    url: {url}       # output "url" of the template in deploy/sentinel
    rule: {rule}       # its output "rule"
    auth:       # or certificate, workload_identity, managed_identity
      tenant_id: {tenant_id}
      client_id: {client_id}
      client_secret: {secret:azure_client_secret}
    mapping: asim       # the template declares the columns of this mapping
    heartbeat: 5m
""",
        (
            Question("url", "Logs ingestion endpoint", "https://NAME.westeurope-1.ingest.monitor.azure.com"),
            Question("rule", "Immutable id of the rule", "dcr-0123456789abcdef0123456789abcdef"),
            Question("tenant_id", "Entra tenant id", "11111111-2222-3333-4444-555555555555"),
            Question("client_id", "Application (client) id", "66666666-7777-8888-9999-000000000000"),
        ),
        ("azure_client_secret",),
    ),
    "sentinel-forwarder": _syslog(
        "Microsoft Sentinel (log forwarder with the Azure Monitor Agent)",
        "docs/collectors/sentinel.md",
        "sentinel_ama",
        "tcp://forwarder.example:514",
    ),
    "sc4s": _syslog(
        "Splunk Connect for Syslog", "docs/collectors/sc4s.md", "sc4s", "tls://sc4s.example:5425"
    ),
    "rsyslog": _syslog("rsyslog", "docs/collectors/rsyslog.md", "rsyslog", "tls://loghost.example:6514"),
    "syslog-ng": _syslog(
        "syslog-ng", "docs/collectors/syslog-ng.md", "syslog_ng", "tls://loghost.example:6601"
    ),
    "http": CollectorRecipe(
        "any HTTP collector or webhook",
        "docs/outputs.md",
        """\
  http:
    type: http
    url: {url}
    auth: {{bearer: "{secret:collector_token}"}}       # or basic, header, oauth2
    body: ndjson       # or array, single, or templates
    mapping: ecs
    # tls: {{ca_file: /etc/email-connector/collector-ca.pem}}
""",
        (Question("url", URL.text, "https://collector.example/ingest"),),
        ("collector_token",),
    ),
    "file": CollectorRecipe(
        "a file",
        "docs/outputs.md",
        """\
  file:
    type: file
    path: {path}
    mapping: ecs
    rotate: {{every: 1d, keep: 7}}
""",
        (PATH,),
    ),
    "stdout": CollectorRecipe(
        "standard output, for a log collector of the container platform",
        "docs/outputs.md",
        """\
  stdout:
    type: stdout
    mapping: ecs
""",
    ),
}

_HEAD = """\
# Cloudflare Email Security to {title}.
# Check it with "email-connector check", run it with "email-connector run".
# Every key: docs/reference/configuration.md. This collector: {page}.

accounts:
  default:
    account_id: {account_id}
    api_token: {token}       # permission: Account, Cloud Email Security, Read

searches:
  detections:
    every: 60s       # time between polls
    start: 24h       # how far back the first poll reads
    filters:
      detections_only: true       # false: every message, not only detections
  # Two further sources, which outputs take as they are; see docs/source.md, Further sources:
  # reports: {{source: submissions}}       # messages that users and analysts submitted for review
  # changes: {{source: audit_logs}}       # who changed what; the token needs Account, Account Settings, Read

outputs:
"""


def configuration(
    recipe: CollectorRecipe, answers: Mapping[str, str], reference: Callable[[str], str]
) -> str:
    """The text of ``connector.yaml``.

    Args:
        recipe: the collector.
        answers: one per question of the recipe, and ``account_id``.
        reference: how the file refers to the secret of a name, such as ``${env:NAME}``.
    """
    values = {key: _yaml(value) for key, value in answers.items()}
    head = _HEAD.format(
        title=recipe.title,
        page=recipe.page,
        account_id=values[ACCOUNT_ID],
        token=reference("cloudflare_api_token"),
    )
    output = re.sub(r"\{secret:(\w+)\}", lambda match: _braces(reference(match[1])), recipe.output)
    return head + output.format(**values)


def _yaml(text: str) -> str:
    """*text* in quotes: an account id of digits alone is a text, too."""
    return json.dumps(text, ensure_ascii=False)


def _braces(text: str) -> str:
    """Keep braces of *text* through ``str.format``."""
    return text.replace("{", "{{").replace("}", "}}")
