"""What receivers do with the CEF pack's keys: no value meets a field of another type.

The fields are those of Logstash's CEF codec in ECS mode and of Elastic's decode_cef, the types those of the
Elastic Common Schema 9.5.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path

from connector.formats.cef import HEADER_NAMES
from connector.mapping.language.library import Library
from tests.support.cef_parser import parse

GOLDEN = Path(__file__).with_name("cef.txt")


def _number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?", text) is not None


def _milliseconds(text: str) -> bool:
    return re.fullmatch(r"\d{10,13}", text) is not None


def _address(version: int) -> Callable[[str], bool]:
    return lambda text: ipaddress.ip_address(text).version == version


# Keys that some receiver gives another type than text, with what fits there.
TYPED: dict[str, Callable[[str], bool]] = {
    "rt": _milliseconds,
    "deviceCustomDate1": _milliseconds,
    "src": _address(4),
    "c6a2": _address(6),
    "cn1": _number,
    "cn2": _number,
    "cfp1": _number,
}
TEXT = {
    "externalId", "devicePayloadId", "deviceExternalId", "cat", "act", "reason", "suser", "duser", "msg",
    "fname", "sourceDnsDomain", "destinationDnsDomain", "cs1", "cs2", "cs3", "cs4", "cs5", "cs6",
}  # fmt: skip


def test_every_key_of_the_dictionary_that_the_pack_uses_was_looked_up() -> None:
    """In Logstash ``deviceFacility`` is a number (log.syslog.facility.code), ``fileHash`` an object."""
    used = {key for key in Library().load("cef").fields if not key.startswith("CloudflareEmailSecurity")}
    assert used - set(HEADER_NAMES) == TYPED.keys() | TEXT


def test_every_value_fits_the_type_that_receivers_give_its_key() -> None:
    wrong = [
        (key, value)
        for line in GOLDEN.read_text("utf-8").splitlines()
        for key, value in parse(line.encode()).extension.items()
        if key in TYPED and not TYPED[key](value)
    ]
    assert wrong == []
