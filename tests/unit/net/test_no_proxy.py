"""NO_PROXY as clusters write it: names, suffixes, ports, addresses, networks of both families."""

from __future__ import annotations

import pytest

from connector.errors import ConfigurationError
from connector.net.http import HttpClient
from connector.net.no_proxy import NoProxy, ProxyEnvironment, route_of
from tests.support.scripted_http import Reply, scripted

KUBERNETES = (
    "localhost,127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fd00::/8,2001:db8:1::/48,[::1],::1,"
    ".svc,.cluster.local,169.254.169.254,siem.corp.example:8088,[2001:db8::7]:443"
)


@pytest.mark.parametrize(
    ("entry", "host", "port", "expected"),
    [
        ("*", "any.example", 443, True),
        ("corp.example", "corp.example", 443, True),
        ("corp.example", "siem.corp.example", 443, True),
        ("corp.example", "evilcorp.example", 443, False),
        ("CORP.example.", "Siem.Corp.Example.", 443, True),
        (".corp.example", "siem.corp.example", 443, True),
        (".corp.example", "corp.example", 443, False),
        ("*.corp.example", "siem.corp.example", 443, True),
        ("*.corp.example", "corp.example", 443, False),
        ("siem.example:8088", "siem.example", 8088, True),
        ("siem.example:8088", "siem.example", 443, False),
        ("https://siem.example", "siem.example", 443, True),
        ("192.0.2.7", "192.0.2.7", 443, True),
        ("192.0.2.7", "192.0.2.70", 443, False),
        ("192.0.2.7:9200", "192.0.2.7", 9200, True),
        ("192.0.2.7:9200", "192.0.2.7", 443, False),
        ("10.0.0.0/8", "10.20.30.40", 443, True),
        ("10.1.2.3/8", "10.20.30.40", 443, True),
        ("10.0.0.0/8", "11.0.0.1", 443, False),
        ("10.0.0.0/8", "ten.example", 443, False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", 443, True),
        ("fd00::/8", "fd12::1", 443, True),
        ("fd00::/8", "fe80::1", 443, False),
        ("[fd00::]/8", "fd12::1", 443, True),
        ("[::1]", "::1", 443, True),
        ("::1", "0:0:0:0:0:0:0:1", 443, True),
        ("[::1]:8080", "::1", 8080, True),
        ("[::1]:8080", "::1", 443, False),
    ],
)
def test_each_form_of_an_entry(entry: str, host: str, port: int, expected: bool) -> None:
    assert NoProxy(f"other.example, {entry}").matches(host, port) is expected


def test_what_a_cluster_sets_is_understood_whole() -> None:
    exceptions = NoProxy(KUBERNETES)

    assert exceptions.invalid == ()
    for host in ("localhost", "10.96.0.1", "fd00::10", "::1", "hec.splunk.svc", "192.168.3.4"):
        assert exceptions.matches(host, 443), host
    assert not exceptions.matches("api.cloudflare.com", 443)


def test_what_is_no_entry_is_named_and_ignored() -> None:
    exceptions = NoProxy("10.0.0.0/99, a*b.example, [nonsense], fine.example")

    assert exceptions.invalid == ("10.0.0.0/99", "a*b.example", "[nonsense]")
    assert exceptions.matches("fine.example", 443)


def test_a_route_says_which_way_and_why_without_credentials() -> None:
    environ = {"HTTPS_PROXY": "user:canary@proxy.example:3128", "no_proxy": "10.0.0.0/8"}

    assert str(route_of("https://api.example/x", None, environ)) == (
        "through the proxy proxy.example:3128 (HTTPS_PROXY)"
    )
    assert str(route_of("https://10.1.2.3/x", None, environ)) == "directly (NO_PROXY)"
    assert str(route_of("http://api.example/x", None, environ)) == "directly"
    assert str(route_of("https://10.1.2.3/x", "p.example", environ)) == (
        "through the proxy p.example:80 (proxy setting)"
    )


def test_lower_case_wins_and_all_proxy_is_the_last_resort() -> None:
    environ = {"https_proxy": "http://a.example", "HTTPS_PROXY": "http://b.example", "ALL_PROXY": "c.example"}
    proxies = ProxyEnvironment(environ).proxies

    assert proxies["https"] == ("HTTPS_PROXY", "http://a.example")
    assert proxies["http"] == ("ALL_PROXY", "http://c.example")


@pytest.mark.parametrize("exceptions", ["127.0.0.0/8", "[::1],::1/128,fd00::/8,127.0.0.1", KUBERNETES])
async def test_the_client_starts_and_reaches_what_is_excepted_directly(
    exceptions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(lambda _: Reply(200, b"proxy")) as proxy, scripted(lambda _: Reply()) as direct:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", exceptions)
        client = HttpClient(timeout=5)
        await client.request("GET", direct.url)
        await client.request("GET", "http://collector.example/")
        await client.close()
    assert (len(direct.asked), len(proxy.asked)) == (1, 1)


async def test_a_proxy_variable_that_is_no_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example:1080")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        HttpClient()
