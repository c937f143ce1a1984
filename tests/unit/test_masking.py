"""A secret is masked in whatever form a peer repeats it; ordinary text is left alone."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from pydantic import BaseModel

from connector.masking import SecretMasker, mask_secrets, secrets_in
from connector.outputs.shared.url import Url
from connector.secret import MASK, Reference, Secret

PASSWORD = 'canary/ä"<7f3a>'
PROXY = f"http://user:{quote(PASSWORD, safe='')}@proxy.example:3128"
HOOK = "https://hooks.example/services/T0CANARY1/xyz-canary?key=canary-key-99&v=1"


@pytest.mark.parametrize(
    "echo",
    [
        PASSWORD,
        quote(PASSWORD, safe=""),
        quote(PASSWORD, safe="").lower(),
        PROXY,
        base64.b64encode(f"user:{PASSWORD}".encode()).decode(),
        base64.b64encode(PASSWORD.encode()).decode().rstrip("="),
        'canary/ä\\"<7f3a>',
        'canary/\\u00e4\\"<7f3a>',
        "canary/ä&quot;&lt;7f3a&gt;",
        PASSWORD.encode().hex(),
    ],
)
def test_every_form_of_a_proxys_password_is_masked(echo: str) -> None:
    assert mask_secrets(f"407 denied: {echo}!", [PROXY]) == f"407 denied: {MASK}!"


@pytest.mark.parametrize("piece", ["T0CANARY1", "xyz-canary", "canary-key-99", HOOK])
def test_pieces_of_a_url_are_masked(piece: str) -> None:
    assert piece not in mask_secrets(f"no route for /{piece}", [HOOK])


def test_an_echoed_header_is_masked_whoever_it_belongs_to() -> None:
    text = "bad request: Authorization: Basic dXNlcjpwYXNzd29yZA==; basic authentication is required"

    assert mask_secrets(text, []) == (
        f"bad request: Authorization: Basic {MASK}; basic authentication is required"
    )


def test_names_in_a_url_are_not_secrets() -> None:
    text = "hooks.example: the collector and its services refused v1"

    assert mask_secrets(text, [HOOK, "https://hec.example/services/collector"]) == text


@pytest.mark.parametrize("url", ["https://splunk.example:8088", "http://10.0.0.5:9200/"])
def test_which_collector_answered_is_no_secret(url: str) -> None:
    masker = SecretMasker(secrets_in([Url(url), Secret("canary-token")]))

    assert masker(f"{url} answered 503: canary-token") == f"{url} answered 503: {MASK}"


@pytest.mark.parametrize("url", ["http://canary-user@proxy.example", "https://hooks.example/?canary-key"])
def test_a_url_with_anything_but_an_origin_is_masked(url: str) -> None:
    assert mask_secrets(f"no route to {url}", [url]) == f"no route to {MASK}"


class Inner(BaseModel):
    token: Secret
    headers: dict[str, str]


class Settings(BaseModel):
    outputs: dict[str, Inner]
    urls: list[Url]


def test_a_masker_knows_every_secret_of_the_settings_and_follows_a_rotation() -> None:
    texts = iter(["canary-old", "canary-new", "canary-new"])
    rotating = Secret(next(texts), lambda: next(texts))
    reference = Reference(lambda: "canary-header", "${env:HEADER}")
    inner = Inner.model_construct(token=rotating, headers={"x-key": reference})
    settings = Settings.model_construct(outputs={"a": inner}, urls=[Url(HOOK)])
    masker = SecretMasker(secrets_in(settings))

    assert masker("canary-old canary-header T0CANARY1 hello") == f"{MASK} {MASK} {MASK} hello"
    assert rotating.refresh()
    assert masker("canary-old canary-new") == f"{MASK} {MASK}"


def test_the_user_of_a_database_is_no_secret_but_the_password_is() -> None:
    text = "postgres at db: no such user postgres"
    assert mask_secrets(text, ["postgresql://postgres@db:5432/siem"]) == text
    assert "hunter22" not in mask_secrets("no hunter22", ["postgresql://postgres:hunter22@db:5432/siem"])
