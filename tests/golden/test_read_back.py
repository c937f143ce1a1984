"""Lines that ``mapping apply`` writes of hostile records give every text back to whoever reads them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from click.testing import CliRunner

from connector.cli.mapping import command
from tests.golden.revisions import cases
from tests.properties import test_cef_round_trip, test_leef_round_trip
from tests.support import cef_parser, leef_parser

VERBATIM = {"cef": "CloudflareEmailSecurity", "leef": "cloudflare"}
"""The prefix of fields that the mapping returned to the rest."""

FEWEST = 100
"""Characters that every text field keeps, however long it was."""


def read_cef(line: bytes) -> Mapping[str, str]:
    assert set(cef_parser.splunk_fields(line)) == set(cef_parser.parse(line).extension)
    return cef_parser.parse(line).extension


def read_leef(line: bytes) -> Mapping[str, str]:
    attributes = leef_parser.parse(line).attributes
    assert leef_parser.gateway_fields(line) == leef_parser.escaping_fields(line) == attributes
    return attributes


@pytest.mark.parametrize(
    ("pack", "read", "places", "cleaned"),
    [
        ("cef", read_cef, test_cef_round_trip.MAPPED, test_cef_round_trip.cleaned),
        ("leef", read_leef, test_leef_round_trip.MAPPED, test_leef_round_trip.cleaned),
    ],
)
def test_every_text_of_a_hostile_record_comes_back(
    pack: str,
    read: Callable[[bytes], Mapping[str, str]],
    places: Mapping[str, str],
    cleaned: Callable[[str], str],
) -> None:
    records = [dict(case.revision.record.body) for case in cases()]
    stdin = "".join(f"{json.dumps(record)}\n" for record in records)
    done = CliRunner().invoke(command, ["apply", pack], input=stdin)
    lines = done.stdout_bytes.split(b"\n")[:-1]

    assert done.exit_code == 0
    assert len(lines) == len(records)
    for record, line in zip(records, lines, strict=True):
        fields = read(line)
        for name, key in places.items():
            # A sender with a display name is only its address there; the header itself is among the rest.
            verbatim = VERBATIM[pack] + name.capitalize()
            same(record.get(name), fields.get(verbatim, fields.get(key, "")), cleaned)


def same(sent: Any, got: str, cleaned: Callable[[str], str]) -> None:
    """*got* is what was sent, cleaned; of a text that was too long the beginning, with ``...`` after it."""
    if isinstance(sent, str):
        whole = cleaned(sent)
        cut = len(got) >= FEWEST and got.endswith("...") and whole.startswith(got[:-3])
        assert got == whole or cut
