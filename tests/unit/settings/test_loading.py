"""Where a configuration comes from, and what it means where it says nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.outputs.stdout import StdoutSettings
from connector.settings import load
from connector.settings.places import state_directory
from tests.unit.settings.support import ACCOUNT, MINIMAL, TOKENS, read, wrong

ALONE = {"CLOUDFLARE_API_TOKEN": "abc", "CLOUDFLARE_ACCOUNT_ID": ACCOUNT}

NOTES = """\
connector.yaml:5:5: accounts.prod.api_token is in the file in clear text; use ${env:NAME} or ${file:/path} instead
accounts.prod.base_url does not end with /client/v4, unlike the public API
searches.detections.filters.submissions: Cloudflare removed this parameter; the API may ignore it or refuse the search
accounts.prod.tls.verify is off: traffic can be intercepted and modified
""".splitlines()  # noqa: E501, the lines are as long as people get them


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(
        "connector.settings.places.DEFAULT_FILES", (Path("connector.yaml"), tmp_path / "etc.yaml")
    )


def test_token_and_account_id_alone_poll_detections_every_minute_to_stdout_as_ecs() -> None:
    loaded = load(None, ALONE)

    account = loaded.settings.accounts["default"]
    search = loaded.settings.searches["detections"]
    output = loaded.settings.outputs["stdout"]
    assert (account.account_id, account.api_token and account.api_token.reveal()) == (ACCOUNT, "abc")
    assert (search.every, search.filters) == (timedelta(seconds=60), {"detections_only": True})
    assert isinstance(output, StdoutSettings)
    assert output.mapping == "ecs"
    assert (loaded.file, loaded.notes) == (None, ())


def test_email_and_global_key_alone_do_too() -> None:
    environ = {
        "CLOUDFLARE_EMAIL": "soc@example.org",
        "CLOUDFLARE_API_KEY": "key",
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        "CLOUDFLARE_BASE_URL": "http://127.0.0.1:8080/client/v4/",
    }

    account = load(None, environ).settings.accounts["default"]

    assert account.email == "soc@example.org"
    assert account.api_key is not None
    assert account.base_url == "http://127.0.0.1:8080/client/v4"


def test_with_both_the_token_is_used_and_the_rest_noted() -> None:
    loaded = load(None, {**ALONE, "CLOUDFLARE_EMAIL": "a@b", "CLOUDFLARE_API_KEY": "key"})

    assert loaded.settings.accounts["default"].api_key is None
    assert loaded.notes == (
        "CLOUDFLARE_API_TOKEN is used; CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY are ignored",
    )


def test_the_token_may_come_from_a_file_and_be_rotated_there(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    environ = {"CLOUDFLARE_API_TOKEN_FILE": str(file), "CLOUDFLARE_ACCOUNT_ID": ACCOUNT}
    token = load(None, environ).settings.accounts["default"].api_token
    assert token is not None
    seen = [token.reveal()]

    file.write_text("second\n")

    assert token.refresh()
    assert [*seen, token.reveal()] == ["first", "second"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "set CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID, or add accounts"),
        ({"CLOUDFLARE_API_TOKEN": "x"}, "the account is incomplete (set CLOUDFLARE_ACCOUNT_ID, or"),
        ({"CLOUDFLARE_ACCOUNT_ID": ACCOUNT}, "the account is incomplete (set CLOUDFLARE_API_TOKEN, or"),
        ({"CLOUDFLARE_EMAIL": "a@b"}, "(set CLOUDFLARE_API_KEY and CLOUDFLARE_ACCOUNT_ID, or"),
        ({**ALONE, "CLOUDFLARE_API_TOKEN": ""}, "the variable CLOUDFLARE_API_TOKEN is empty"),
        (
            {**ALONE, "CLOUDFLARE_API_TOKEN_FILE": "/x"},
            "CLOUDFLARE_API_TOKEN_FILE: CLOUDFLARE_API_TOKEN already",
        ),
        (
            {**ALONE, "CLOUDFLARE_ACCOUNT_ID": "x"},
            "CLOUDFLARE_ACCOUNT_ID: accounts.default.account_id: must be 32",
        ),
        (
            {**ALONE, "CLOUDFLARE_BASE_URL": "http://x.example"},
            "CLOUDFLARE_BASE_URL: accounts.default.base_url",
        ),
        ({"CONNECTOR_CONFIG": ""}, "CONNECTOR_CONFIG: the variable is empty"),
    ],
)
def test_what_the_environment_lacks_is_named(environ: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(None, environ)

    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_variables_make_no_account_beside_those_of_a_file(tmp_path: Path) -> None:
    loaded = read(tmp_path, MINIMAL, {"CLOUDFLARE_API_TOKEN": "x", "CLOUDFLARE_ACCOUNT_ID": "nonsense"})

    assert list(loaded.settings.accounts) == ["prod"]


def test_a_file_without_searches_and_outputs_gets_the_same_defaults_and_notes(tmp_path: Path) -> None:
    loaded = read(tmp_path, "log: {level: debug}\n", ALONE)

    assert list(loaded.settings.searches) == ["detections"]
    assert list(loaded.settings.outputs) == ["stdout"]
    assert [note.split(":")[0] for note in loaded.notes] == [
        "no searches configured",
        "no outputs configured",
    ]


def test_files_are_searched_in_order(tmp_path: Path) -> None:
    def config(name: str) -> Path:
        file = tmp_path / name
        file.write_text(MINIMAL)
        return file

    found = []
    config("etc.yaml")
    found.append(load(None, TOKENS).file)
    config("cwd/connector.yaml")
    found.append(load(None, TOKENS).file)
    named = config("named.yaml")
    found.append(load(None, {**TOKENS, "CONNECTOR_CONFIG": str(named)}).file)
    asked = config("asked.yaml")
    found.append(load(asked, {**TOKENS, "CONNECTOR_CONFIG": str(named)}).file)

    assert found == [tmp_path / "etc.yaml", Path("connector.yaml"), named, asked]


@pytest.mark.parametrize("name", ["absent.yaml", "cwd", "nul\0"])
def test_a_file_that_was_asked_for_must_be_readable(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the configuration"):
        load(tmp_path / name, ALONE)


def test_a_file_that_is_no_utf8_is_reported_with_its_position(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"log:\n  level: \xe4\n")

    with pytest.raises(ConfigurationError, match=r"latin\.yaml:2:10: not UTF-8 text"):
        load(file, ALONE)


def test_a_file_with_a_byte_order_mark_and_windows_lines_is_read(tmp_path: Path) -> None:
    file = tmp_path / "windows.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())

    assert list(load(file, TOKENS).settings.outputs) == ["siem"]


def test_files_named_in_a_configuration_lie_beside_it(tmp_path: Path) -> None:
    text = MINIMAL + "mappings: {directory: ./mappings}\nstate: {directory: /srv/state}\n"

    settings = read(tmp_path, text).settings

    assert settings.mappings.directory == tmp_path / "mappings"
    assert settings.state.directory == Path("/srv/state")


def test_the_state_lives_where_the_platform_says() -> None:
    user = {"HOME": "/home/soc"}

    assert state_directory({"STATE_DIRECTORY": "/var/lib/private/a:/b", **user}, 1000) == Path(
        "/var/lib/private/a"
    )
    assert state_directory(user, 0) == Path("/var/lib/email-connector")
    assert state_directory(user, 1000) == Path("/home/soc/.local/state/email-connector")
    assert state_directory({"XDG_STATE_HOME": "/x", **user}, 1000) == Path("/x/email-connector")
    assert state_directory({}, 1000) == Path("/var/lib/email-connector")


@pytest.mark.parametrize("key", ["_env_file", "_cli_parse_args", "_secrets_dir"])
def test_keys_of_the_settings_library_are_unknown_keys(tmp_path: Path, key: str) -> None:
    hint = "known: accounts, actions, drain, log, mappings, outputs, redaction, searches, server, state"
    assert wrong(tmp_path, f"{MINIMAL}{key}: true") == [f"connector.yaml:10:1: {key}: unknown key ({hint})"]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            MINIMAL.replace(
                "searches:\n  detections: {",
                f"  test: {{account_id: {ACCOUNT[::-1]}, api_token: '${{env:TOKEN}}'}}\n"
                "searches:\n  detections: {accounts: [prod], ",
            ),
            "accounts.test is not used: no search reads it",
        ),
        (
            MINIMAL + "server: {listen: null, token: '${env:TOKEN}'}\n",
            "server.token has no effect: server.listen is null",
        ),
        (
            MINIMAL + "actions: {listen: null, tls: {cert_file: x.pem}}\n",
            "actions.tls has no effect: actions.listen is null",
        ),
    ],
)
def test_what_has_no_effect_is_noted(tmp_path: Path, text: str, note: str) -> None:
    assert read(tmp_path, text, {"TOKEN": "0123456789abcdef0123"}).notes == (note,)


def test_what_deserves_a_look_is_noted(tmp_path: Path) -> None:
    text = (
        MINIMAL.replace("${env:TOKEN}", "literal")
        .replace("every: 60s", "filters: {submissions: true}")
        .replace("searches:", "    base_url: https://gateway.example/cf\n    tls: {verify: false}\nsearches:")
        .replace("api_token", "proxy: http://proxy:3128\n    api_token")
    )

    notes = read(tmp_path, text).notes

    assert "\n".join(notes).replace(f"{tmp_path}/", "").split("\n") == NOTES
