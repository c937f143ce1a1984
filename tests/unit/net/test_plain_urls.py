"""URLs in which nothing has to be written otherwise are read without the library, with the same result."""

import pytest

from connector.net import http

PARAMS: list[tuple[tuple[str, str], ...]] = [
    (),
    (("subject", "a b"),),
    (("start", "2026-01-01T00:00:00Z"), ("query", "ü+&=/?%#'()*~"), ("cursor", "")),
]


@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize(
    "url",
    [
        "https://api.cloudflare.com/client/v4/accounts/0/email-security/investigate",
        "https://api.cloudflare.com",
        "http://127.0.0.1:80",
        "http://255.1.0.9:8080/",
        "https://siem:443/b/c.d/",
        "http://h.example:80/~x/y-z_",
    ],
)
def test_a_plain_url_means_what_the_library_reads(url: str, params: tuple[tuple[str, str], ...]) -> None:
    plain, read = http._plain_target(url, params), http._any_target(url, params)

    assert plain is not None
    assert (plain.host, plain.peer, plain.authorization) == (read.host, read.peer, read.authorization)
    for part in ("scheme", "host", "port", "target"):
        assert getattr(plain.parts, part) == getattr(read.parts, part)


@pytest.mark.parametrize(
    "url",
    [
        "HTTPS://a/", "https://A/", "https://user:x@a/", "https://a/?q=1", "https://a/#f", "https://a/../b", "https://a//b",
        "https://a/%41", "https://a/ü", "https://[::1]/", "https://1.2.3.256/", "https://1.2.3/", "https://a:0/",
        "https://a:65536/", "ftp://a/", "https://", "https://a/b c", "https://a/b\n", "",
    ],
)  # fmt: skip
def test_the_library_reads_all_others(url: str) -> None:
    assert http._plain_target(url, ()) is None
    assert http._plain_target("https://a/", (("q", "1"), ("q", "2"))) is None
