"""Each mapping file is parsed once and each mapping compiled once, also across reloads."""

from __future__ import annotations

import gc
import linecache
import traceback
from pathlib import Path

import pytest

from connector.app.routes import build_routes, mapping_library
from connector.mapping import Library, MappingCache, build_map
from connector.mapping.compiler.emitter import Emitter
from connector.settings import load
from tests.unit.mapping.packs import revision

MINE = "mapping: 1\nformat: json\nfields: {out: subject}\n"
ACCOUNTS = {"a": "prod"}


def compiled(directory: Path, cache: MappingCache, accounts: dict[str, str] = ACCOUNTS) -> object:
    library = Library((directory,), cache)
    return build_map(library.load("mine"), accounts=accounts, cache=cache)


def test_an_unchanged_mapping_is_taken_over_and_a_changed_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    first = MappingCache()
    function = compiled(tmp_path, first)
    assert compiled(tmp_path, first) is function

    second = MappingCache(first)
    assert compiled(tmp_path, second) is function
    assert compiled(tmp_path, second, {"a": "renamed"}) is not function

    (tmp_path / "mine.yaml").write_text(MINE.replace("subject", "id"))
    changed = build_map(Library((tmp_path,), second).load("mine"), cache=second)
    assert changed(revision({"id": "r1", "subject": "s"})).document == {"out": "r1"}


def test_a_cache_holds_no_more_than_its_configuration_uses(tmp_path: Path) -> None:
    cache = MappingCache()
    sizes = []
    for number in range(5):
        (tmp_path / "mine.yaml").write_text(MINE.replace("out", f"out_{number}"))
        cache = MappingCache(cache)
        compiled(tmp_path, cache)
        cache.complete()
        sizes.append(len(cache))

    assert len(set(sizes)) == 1


def test_outputs_of_one_mapping_share_it_and_redact_for_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compilations = []
    original = Emitter.compiled

    def counted(emitter: Emitter, name: str, file: str) -> object:
        compilations.append(file)
        return original(emitter, name, file)

    monkeypatch.setattr(Emitter, "compiled", counted)
    (tmp_path / "connector.yaml").write_text(
        "accounts: {prod: {account_id: 023e105f4ecef8ad9ca31a8372d0c353, api_token: t0ken}}\n"
        "redaction: {key: '${env:KEY}'}\n"
        "outputs:\n"
        "  plain: {type: stdout, mapping: ecs}\n"
        "  hashed: {type: file, path: a, mapping: ecs, redact: {subject: hash}}\n"
        "  dropped: {type: file, path: b, mapping: ecs, redact: {subject: drop}}\n"
    )
    loaded = load(tmp_path / "connector.yaml", {"KEY": "k" * 32})
    library = mapping_library(loaded)
    routes = build_routes(loaded, lambda _: None, {}, library)
    again = build_routes(loaded, lambda _: None, {}, mapping_library(loaded, library.cache))

    assert compilations == ["<mapping ecs.yaml>"]
    for built in (routes, again):
        events = [route.mapper(revision({"id": "r1", "subject": "top secret"})) for route in built]
        payloads = [event.payload if event else b"" for event in events]
        assert [b"top secret" in payload for payload in payloads] == [True, False, False]
        assert len(set(payloads)) == 3


def test_the_source_of_a_function_is_shown_while_it_lives() -> None:
    def failing() -> object:
        emitter = Emitter()
        with emitter.block("def wrong():"):
            emitter.line("return 1 / 0")
        return emitter.compiled("wrong", "<mapping test.yaml>")

    function = failing()
    try:
        function()  # type: ignore[operator]
    except ZeroDivisionError:
        assert "return 1 / 0" in traceback.format_exc()
    del function
    gc.collect()

    assert "<mapping test.yaml>" not in linecache.cache
