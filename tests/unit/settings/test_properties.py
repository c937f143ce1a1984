"""Whatever somebody writes, it loads or it is told what is wrong; nothing else happens."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.errors import ConfigurationError
from connector.settings import load
from connector.settings.render import render
from connector.settings.schema_index import SchemaNode, settings_schema
from tests.support.examples import examples
from tests.unit.settings.support import MINIMAL, TOKENS


def vocabulary(shape: SchemaNode, depth: int = 0) -> set[str]:
    """Every key that a configuration knows."""
    found = set(shape.known)
    for key in [*shape.known, "prod"] if depth < 6 else []:
        inner = shape.child(key)
        if inner is not None and not inner.untyped:
            found |= vocabulary(inner, depth + 1)
    return found


KEYS = sorted(vocabulary(settings_schema()))
TEXTS = [
    "60s",
    "1h",
    "stdout",
    "file",
    "http",
    "syslog",
    "all",
    "${env:TOKEN}",
    "${env:X:-5}",
    "${file:/x}",
    "${",
    "$${",
    "null",
    "[a]",
    "localhost:1",
    "https://a.example",
    "*/5",
    "8KiB",
    "ecs",
    "",
    "* * * * *",
    "\ud83d",
    "a\nb",
]
SCALARS = st.one_of(
    st.sampled_from(TEXTS),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", *KEYS]), inner, max_size=4)
    ),
    max_leaves=12,
)
PATIENT = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(60)
)


def tried(file: Path, data: bytes, environ: dict[str, str]) -> None:
    file.write_bytes(data)
    try:
        render(load(file, environ))
    except ConfigurationError as error:
        assert error.problems  # noqa: PT017, either outcome is fine
        assert all(problem.position is not None for problem in error.problems)  # noqa: PT017


@PATIENT
@given(st.dictionaries(st.sampled_from(KEYS), TREES, max_size=5))
def test_any_tree_of_known_keys_loads_or_is_refused(tmp_path: Path, tree: dict[str, object]) -> None:
    good = yaml.safe_load(MINIMAL)
    text = yaml.safe_dump({**good, **tree}, allow_unicode=True).encode("utf-8", "surrogatepass")

    tried(tmp_path / "any.yaml", text, dict(TOKENS))


@PATIENT
@given(
    st.sampled_from(["accounts", "searches", "outputs"]),
    st.dictionaries(st.sampled_from(KEYS), TREES, max_size=4),
    st.sampled_from(["stdout", "file", "http", "syslog", "none"]),
)
def test_any_part_loads_or_is_refused(tmp_path: Path, part: str, tree: dict[str, object], kind: str) -> None:
    good = yaml.safe_load(MINIMAL)
    good[part]["other"] = {"type": kind, **tree} if part == "outputs" else tree

    tried(tmp_path / "any.yaml", yaml.safe_dump(good).encode("utf-8", "surrogatepass"), dict(TOKENS))


@PATIENT
@given(
    st.one_of(st.binary(max_size=80), st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")))
)
def test_any_file_loads_or_is_refused(tmp_path: Path, data: bytes) -> None:
    tried(tmp_path / "any.yaml", data, dict(TOKENS))
    tried(tmp_path / "any.yaml", MINIMAL.encode() + data, dict(TOKENS))


WORDS = st.sampled_from(
    ["OUTPUTS", "SIEM", "ACCOUNTS", "PROD", "FILTERS", "TYPE", "", "X", *map(str.upper, KEYS)]
)


@PATIENT
@given(st.lists(st.tuples(st.lists(WORDS, max_size=5), st.sampled_from(TEXTS)), max_size=4))
def test_any_variables_set_a_value_or_are_refused(
    tmp_path: Path, variables: list[tuple[list[str], str]]
) -> None:
    environ = {f"CONNECTOR_{'__'.join(literals)}": text for literals, text in variables}

    tried(tmp_path / "any.yaml", MINIMAL.encode(), {**TOKENS, **environ})


@pytest.mark.parametrize("depth", [63, 64, 65, 5000])
def test_deep_nesting_is_refused_or_read(tmp_path: Path, depth: int) -> None:
    tried(tmp_path / "deep.yaml", f"{MINIMAL}    when: {'[' * depth}{']' * depth}\n".encode(), dict(TOKENS))
