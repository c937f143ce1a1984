"""Wrong configurations, and the exact lines that people get."""

# ruff: noqa: E501, the lines are as long as people get them

from __future__ import annotations

from pathlib import Path

import pytest

from connector.outputs import names
from tests.unit.settings.support import ACCOUNT, MINIMAL, wrong

DURATION = "expected a duration, such as 30s, 15m, 1h or 2d"
EMPTY = "the value is empty (set a value, or remove the key)"
NAME = "invalid name (use lower-case letters, digits and _, starting with a letter)"
TYPES = ", ".join(names())
TOP = "accounts, actions, drain, log, mappings, outputs, redaction, searches, server, state"

ACCOUNTS = {
    (
        f"account_id: {ACCOUNT}",
        "account_id: 023e",
    ): "3:5: accounts.prod.account_id: must be 32 hex digits "
    "(see the dashboard URL or the account overview page)",
    (f"account_id: {ACCOUNT}", "budget: {requests: 0}"): "2:3: accounts.prod.account_id is missing "
    "(The account's id: 32 hexadecimal digits)\n"
    "3:14: accounts.prod.budget.requests: must be 1 or more",
    ("api_token: ${env:TOKEN}", "email: soc@example.org"): "2:3: accounts.prod: api_key is missing "
    "(email and api_key belong together)",
    ("api_token: ${env:TOKEN}", "api_key: abc"): "2:3: accounts.prod: email is missing "
    "(email and api_key belong together)",
    ("api_token: ${env:TOKEN}", "budget: {window: 5m}"): "2:3: accounts.prod: credentials are missing "
    "(set api_token, or email and api_key)",
    (
        "api_token:",
        "email: soc@example.org\n    api_token:",
    ): "4:5: accounts.prod.email: two sign-in methods are set (keep api_token, or email and api_key)",
    (
        "${env:TOKEN}",
        "Bearer abc",
    ): "4:5: accounts.prod.api_token: the credential contains a space, a line break or a "
    "non-ASCII character (paste the value only, without Bearer and without quotes)",
    ("${env:TOKEN}", ""): f"4:5: accounts.prod.api_token: {EMPTY}",
    (
        "${env:TOKEN}",
        "''",
    ): "4:5: accounts.prod.api_token: the secret is empty (set a value, or remove the key)",
    ("${env:TOKEN}", "{a: b}"): "4:5: accounts.prod.api_token: expected text, or a reference such as "
    "${env:NAME} or ${file:/path}",
    (
        "api_token:",
        "base_url: http://api.example/client/v4\n    api_token:",
    ): "4:5: accounts.prod.base_url: expected https "
    "(http is allowed only to this host, or credentials would travel in clear text)",
    (
        "api_token:",
        "base_url: https://api..example/client/v4\n    api_token:",
    ): "4:5: accounts.prod.base_url: expected a URL with scheme and "
    "host (such as https://api.cloudflare.com/client/v4)",
    (
        "api_token:",
        "base_url: https://a:b@api.example\n    api_token:",
    ): "4:5: accounts.prod.base_url: the base URL must not contain credentials, a query or a fragment",
    (
        "api_token:",
        "base_url: api.example\n    api_token:",
    ): "4:5: accounts.prod.base_url: expected a URL with scheme and "
    "host (such as https://api.cloudflare.com/client/v4)",
    (
        "api_token:",
        "proxy: 'socks5://proxy:1'\n    api_token:",
    ): "4:5: accounts.prod.proxy: expected the URL of an HTTP proxy (such as http://proxy.example:3128)",
    (
        "api_token:",
        "tls: {key_file: a.pem}\n    api_token:",
    ): "4:5: accounts.prod.tls: key_file requires cert_file: a key is useless without its certificate",
    ("api_token:", "api_tokn: x\n    api_token:"): "4:5: accounts.prod.api_tokn: unknown key "
    "(did you mean api_token?)",
    ("  prod:", "  Prod:"): f"2:3: accounts.Prod: {NAME}",
    ("searches:", f"  copy: {{account_id: {ACCOUNT.upper()}, api_token: x}}\nsearches:"): "5:10: "
    "accounts.copy.account_id: same account as accounts.prod (remove one of the two)",
}

SEARCHES = {
    "every: 60": "6:16: searches.detections.every: expected a duration with a unit, such as 30s, 15m, 1h or 2d",
    "every: 1ms": "6:16: searches.detections.every: must be 1s or more",
    "every: 2d": "6:16: searches.detections.every: must be 1d or less",
    "every: null": "6:16: searches.detections.every: expected every or cron (such as every: 60s)",
    "every: 60s, cron: '* * * * *'": "6:28: searches.detections.cron: every and cron are mutually exclusive "
    "(keep one of them)",
    "cron: hourly": "6:16: searches.detections.cron: expected five fields: minute, hour, day of the month, "
    "month, day of the week, such as */5 * * * *",
    "evry: 60s": "6:16: searches.detections.evry: unknown key (did you mean every?)",
    "audits: {every: 24h}": "6:16: searches.detections.audits: unknown key (did you mean audit?)",
    "audit: {every: 24h, reach: 7d}": "6:16: searches.detections.audit: reach must be greater than the oldest revisit age (an audit covers what is older)",
    "audit: {every: 1s}": "6:24: searches.detections.audit.every: must be 5 minutes or more",
    "accounts: [prod, prd]": "6:33: searches.detections.accounts.1: unknown account (did you mean prod?)",
    "accounts: []": "6:16: searches.detections.accounts: the list is empty (write all, or remove the key)",
    "accounts: [prod, prod]": "6:16: searches.detections.accounts: an account is listed twice",
    "accounts: prod": "6:16: searches.detections.accounts: expected all, or a list",
    "accounts: [1]": "6:27: searches.detections.accounts.0: expected text "
    "(put it in quotes; YAML reads it as a number or boolean)",
    "filters: {sendr: x}": "6:26: searches.detections.filters.sendr: unknown filter (did you mean sender?)",
    "filters: {final_disposition: [SPAM, ENCRYPTED]}": "6:26: searches.detections.filters.final_disposition: the API "
    "cannot filter final_disposition by ENCRYPTED: remove it here and set "
    "'when: {final_disposition: ENCRYPTED}' on the output",
    "filters: {page: 2}": "6:26: searches.detections.filters.page: page is not a filter: "
    "Cloudflare removed page numbers; the connector follows cursors",
    "filters: {detections_only: no, subject: ''}": "6:26: searches.detections.filters.detections_only: "
    "detections_only: expected true or false\n6:47: searches.detections.filters.subject: " + EMPTY,
    "filters: all": "6:16: searches.detections.filters: expected a mapping of filters (such as detections_only: true)",
    "settle: -3s": f"6:16: searches.detections.settle: {DURATION}",
    "overlap: 1500ms": "6:16: searches.detections.overlap: expected whole seconds (the API's resolution is one second)",
    "revisit: [1h, 5m]": "6:16: searches.detections.revisit: ages must increase, without duplicates (such as [5m, 1h, 24h])",
    "revisit: [5m, 5m]": "6:16: searches.detections.revisit: ages must increase, without duplicates (such as [5m, 1h, 24h])",
    "revisit: [0s]": "6:16: searches.detections.revisit: each age must be greater than 0s (write [] for no revisits)",
    "revisit: [5m, soon]": f"6:30: searches.detections.revisit.1: {DURATION}",
    "settle: 10m, revisit: [5m]": "6:29: searches.detections.revisit: the first age must be greater than settle",
    "start: 2026-01-31T10:00:00": "6:16: searches.detections.start: the time has no time zone "
    "(append Z for UTC, or an offset such as +02:00)",
    "start: yesterday": "6:16: searches.detections.start: expected a duration back from now such as 24h, "
    "or a date such as 2026-01-31 or 2026-01-31T12:00:00Z",
    "watch: [a, a]": "6:16: searches.detections.watch: expected record field names, without duplicates "
    "(such as final_disposition)",
    "enrich: {endpoint: [trace]}": "6:25: searches.detections.enrich.endpoint: unknown key (did you mean endpoints?)",
    "enrich: {endpoints: [trace, detection]}": "6:44: searches.detections.enrich.endpoints.1: expected detections, "
    "action_log or trace",
    "enrich: {endpoints: []}": "6:25: searches.detections.enrich.endpoints: expected endpoint names, without duplicates "
    "(remove enrich to disable enrichment)",
    "enrich: {endpoints: [trace, trace]}": "6:25: searches.detections.enrich.endpoints: expected endpoint names, "
    "without duplicates (remove enrich to disable enrichment)",
    "enrich: [trace]": "6:16: searches.detections.enrich: expected a mapping of keys to values",
    "enrich: {when: all}": "6:25: searches.detections.enrich.when: expected a mapping of keys to values",
    "per_page: 1001": "6:16: searches.detections.per_page: must be 1000 or less",
    "per_page: 1.5": "6:16: searches.detections.per_page: expected a whole number",
}

OUTPUTS = {
    "type: stdut": "9:5: outputs.siem.type: there is no output type stdut (did you mean stdout?)",
    "type: 3": "9:5: outputs.siem.type: expected the name of an output type (known: " + TYPES + ")",
    "mapping: ecs": "8:3: outputs.siem: type is missing (known: " + TYPES + ")",
    "type: stdout\n    timeout: 30x": f"10:5: outputs.siem.timeout: {DURATION}",
    "type: stdout\n    timout: 30s": "10:5: outputs.siem.timout: unknown key (did you mean timeout?)",
    "type: stdout\n    mapping: 3": "10:5: outputs.siem.mapping: expected text "
    "(put it in quotes; YAML reads it as a number or boolean)",
    "type: stdout\n    emit: some": "10:5: outputs.siem.emit: expected all or first",
    "type: stdout\n    batch: {events: 0, bytes: 1}": "10:13: outputs.siem.batch.events: must be 1 or more\n"
    "10:24: outputs.siem.batch.bytes: must be 1024 or more",
    "type: stdout\n    batch: 5": "10:5: outputs.siem.batch: expected a mapping of keys to values",
    "type: stdout\n    backlog: {when_full: drop}": "10:15: outputs.siem.backlog.when_full: "
    "expected pause or skip",
    "type: stdout\n  more: {type: stdout}": "10:10: outputs.more.type: writes to the same destination as outputs.siem "
    "(remove one of the two)",
    "type: file\n    path: a/../b\n  more: {type: file, path: ./b}": "11:22: outputs.more.path: writes to the same "
    "destination as outputs.siem (remove one of the two)",
    "type: stdout\n    pinned_to: host": "10:5: outputs.siem.pinned_to: has no effect without state.postgres "
    "(remove it)",
    "type: http\n    url: https://x.example\n    auth: {basic: {username: 'a:b', password: c}}": "11:20: outputs.siem.auth."
    "basic.username: not of the expected form (User name, without a colon)",
    "type: elasticsearch\n    url: https://x.example\n    index: Mail": "11:5: outputs.siem.index: not of the "
    "expected form (Index or alias instead of a data stream: lower-case letters, digits, ., - and _)",
    "type: s3\n    bucket: mail\n    region: eu-central-1\n    auth: {instance_metadata: {}}\n    prefix: mail": "13:5: "
    "outputs.siem.prefix: not of the expected form (Beginning of every key: letters, digits and _.=- in parts that "
    "each end with a slash)",
    "type: file": "8:3: outputs.siem.path is missing (File to append to. Its directory must exist; "
    "no other output may use the file)",
}

REST = {
    "lgo: {level: debug}": "10:1: lgo: unknown key (did you mean log?)",
    "proxy: x": f"10:1: proxy: unknown key (known: {TOP})",
    "log: {level: verbose}": "10:7: log.level: expected debug, info, warning or error",
    "log: debug": "10:1: log: expected a mapping of keys to values",
    "log:": f"10:1: log: {EMPTY}",
    "server: {listen: 9464}": "10:10: server.listen: expected text "
    "(put it in quotes; YAML reads it as a number or boolean)",
    "server: {listen: '::1:9464'}": "10:10: server.listen: expected host:port, such as 127.0.0.1:9464 or "
    "[::1]:9464 (null disables the endpoint)",
    "server: {listen: ''}": f"10:10: server.listen: {EMPTY}",
    "state: {retain: 1y}": f"10:9: state.retain: {DURATION}",
    "state: {postgres: {url: 'mysql://db/x'}}": "10:20: state.postgres.url: expected a URL such as "
    "postgresql://user@host:5432/database",
    "state: {postgres: {url: 'postgresql://db/x'}}": "9:5: outputs.siem.type: stdout writes on one host, but "
    "replicas of state.postgres may be on several (set pinned_to to the host name of the replica that writes it, "
    "or use another type)",
    "state: {postgres: {url: 'postgresql://u:p@db/x', password: p}}": "10:50: state.postgres.password: the URL has a "
    "password, too (keep one of the two)",
    "state: {postgres: {url: 'postgresql://db/x?sslmode=disable', tls: {mode: require}}}": "10:62: state.postgres.tls: "
    "the URL sets sslmode, too (keep one of the two)",
    "state: {postgres: {url: 'postgresql://db/x', tls: {key_file: k}}}": "10:52: state.postgres.tls.key_file: has no "
    "effect without cert_file (set cert_file too)",
    "state: {postgres: {url: 'postgresql://db/x', tls: {mode: disable, ca_file: c}}}": "10:67: "
    "state.postgres.tls.ca_file: has no effect with mode: disable (remove one of the two)",
    "state: {directory: [a]}": "10:9: state.directory: expected a file or directory name",
    "drain: 5h": "10:1: drain: must be 1 hour or less",
    "drain: ${env:NOWHERE}": "10:1: drain: the variable NOWHERE is not set",
    "drain: 5s\ndrain: 6s": "11:1: the key drain appears twice (first at line 10)",
    "accounts: {}": "10:1: the key accounts appears twice (first at line 1)",
}


def lines(expected: str) -> list[str]:
    return [f"connector.yaml:{line}" for line in expected.split("\n")]


@pytest.mark.parametrize(("change", "expected"), ACCOUNTS.items())
def test_accounts(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    assert wrong(tmp_path, MINIMAL.replace(*change, 1)) == lines(expected)


@pytest.mark.parametrize(("change", "expected"), SEARCHES.items())
def test_searches(tmp_path: Path, change: str, expected: str) -> None:
    assert wrong(tmp_path, MINIMAL.replace("every: 60s", change)) == lines(expected)


@pytest.mark.parametrize(("change", "expected"), OUTPUTS.items())
def test_outputs(tmp_path: Path, change: str, expected: str) -> None:
    assert wrong(tmp_path, MINIMAL.replace("type: stdout", change)) == lines(expected)


@pytest.mark.parametrize(("change", "expected"), REST.items())
def test_the_rest(tmp_path: Path, change: str, expected: str) -> None:
    assert wrong(tmp_path, MINIMAL + change) == lines(expected)


def test_everything_that_is_wrong_is_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        MINIMAL.replace("${env:TOKEN}", "${env:TOKE}").replace("60s", "60").replace("stdout", "x")
        + "drian: 3s"
    )

    assert [line.split(":")[1] for line in wrong(tmp_path, text, {"CONNECTOR_DRAIN": "5"})[:-1]] == [
        "4",
        "6",
        "9",
        "10",
    ]


@pytest.mark.parametrize(("text", "where"), [("[]", "1:1"), ("just text", "1:1"), ("3", "1:1")])
def test_a_configuration_is_a_map(tmp_path: Path, text: str, where: str) -> None:
    assert wrong(tmp_path, text) == [f"connector.yaml:{where}: expected a mapping of keys to values"]
