"""As much of Splunk's search-time work as the add-on asks for: extractions, lookups, aliases, constants."""

from __future__ import annotations

import configparser
import csv
import re
from functools import cache
from pathlib import Path

from tests.deploy.artefacts import DEPLOY

ADDON = DEPLOY / "splunk" / "TA-cloudflare-email-security"
Fields = dict[str, str]


@cache
def conf(name: str) -> dict[str, dict[str, str]]:
    """A .conf file by stanza; a key that stands twice in a stanza is an error."""
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # Splunk's keys know case
    parser.read_string((ADDON / "default" / name).read_text())
    return {section: dict(parser[section]) for section in parser.sections()}


@cache
def table(path: Path) -> list[Fields]:
    """A lookup's rows."""
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def searched(sourcetype: str, raw: str, fields: Fields) -> Fields:
    """The fields that a search finds: those of *raw*, on top of the *fields* that Splunk has by itself."""
    props, transforms = conf("props.conf")[sourcetype], conf("transforms.conf")
    found = dict(fields)
    for key, value in props.items():
        if key.startswith("REPORT-"):
            for name in re.split(r",\s*", value):
                found |= _extracted(transforms[name], raw)
    given = dict(found)
    for key, value in props.items():
        if key.startswith("FIELDALIAS-"):
            found |= _aliased(value, given, found)
    for key, value in props.items():
        if key.startswith("EVAL-"):
            found[key.removeprefix("EVAL-")] = value.strip('"')
    for key, value in props.items():
        if key.startswith("LOOKUP-"):
            found |= _looked_up(value, transforms, found)
    return found


def _extracted(transform: Fields, raw: str) -> Fields:
    pattern = re.compile(transform["REGEX"].replace("(?<", "(?P<").replace("(?P<=", "(?<="))
    if "FORMAT" in transform:
        assert transform["FORMAT"] == "$1::$2"
        return {match[1]: match[2] for match in pattern.finditer(raw)}
    match = pattern.search(raw)
    return match.groupdict() if match else {}


def _aliased(value: str, given: Fields, found: Fields) -> Fields:
    pairs = re.findall(r'(?:"([^"]+)"|(\S+)) ASNEW (\S+)', value)
    assert " ".join(value.split()) == " ".join(
        f'"{quoted}" ASNEW {new}' if quoted else f"{plain} ASNEW {new}" for quoted, plain, new in pairs
    )
    named = [(quoted or plain, new) for quoted, plain, new in pairs]
    return {new: given[old] for old, new in named if old in given and new not in found}


def _looked_up(value: str, transforms: dict[str, Fields], found: Fields) -> Fields:
    name, given, _, *wanted = value.split()
    transform = transforms[name]
    rows = [row for row in table(ADDON / "lookups" / transform["filename"]) if row[given] == found.get(given)]
    if not rows and "default_match" in transform:
        return dict.fromkeys(wanted, transform["default_match"])
    return {field: rows[0][field] for field in wanted} if rows else {}
