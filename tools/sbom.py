"""Writes the bill of materials of a release: what the lock file installs, as CycloneDX JSON, offline.

``python -m tools.sbom [FILE]``: without a file, to stdout. The same lock gives the same bytes; the time in it
is ``SOURCE_DATE_EPOCH``, or the one that builds of the wheel use as well.
"""

from __future__ import annotations

import os
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from connector import __version__

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements" / "runtime.txt"
NAME = "cloudflare-email-connector"
_EPOCH = 1580601600
"""The time of reproducible builds where nothing else is asked for: that of hatchling, 2020-02-02."""

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_VIA = re.compile(r"^    #(?: via)? +([a-z][^\s(]*)(?: \(.*\))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pin:
    """One locked distribution: the hashes of its files, and what needs it."""

    name: str
    version: str
    hashes: tuple[str, ...]
    needed_by: tuple[str, ...]


def pins(lock: str) -> Iterator[Pin]:
    """Read a lock file."""
    starts = list(_PIN.finditer(lock))
    ends = [start.start() for start in starts[1:]] + [len(lock)]
    for start, end in zip(starts, ends, strict=True):
        block = lock[start.start() : end]
        needed_by = tuple(name for name in _VIA.findall(block) if name != "via")
        yield Pin(start[1], start[2], tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", block)), needed_by)


def bill(lock: str, when: datetime) -> str:
    """The bill of materials for *lock* as JSON."""
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{NAME} {__version__}\n{lock}"))
    bom.metadata.timestamp = when
    top = _component(NAME, __version__, ComponentType.APPLICATION)
    bom.metadata.component = top
    found = {pin.name: pin for pin in pins(lock)}
    made = {name: _component(name, pin.version, ComponentType.LIBRARY) for name, pin in found.items()}
    for name, component in made.items():
        component.hashes.update(
            HashType(alg=HashAlgorithm.SHA_256, content=one) for one in found[name].hashes
        )
        bom.components.add(component)
    for needing, component in {NAME: top, **made}.items():
        bom.register_dependency(component, [made[name] for name in made if needing in found[name].needed_by])
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(name: str, version: str, kind: ComponentType) -> Component:
    component = Component(
        name=name,
        version=version,
        type=kind,
        bom_ref=BomRef(f"{name}@{version}"),
        purl=PackageURL("pypi", name=name, version=version),
    )
    licence = _licence(name)
    if licence:
        component.licenses.add(LicenseFactory().make_from_string(licence))
    return component


def _licence(name: str) -> str:
    """What the installed distribution says of its licence; "" where it is not installed here."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return ""
    named = [
        line for line in about.get_all("Classifier", []) if line.startswith("License :: OSI Approved :: ")
    ]
    written = next(iter([*about.get_all("License-Expression", []), *about.get_all("License", [])]), "")
    short = written.strip().splitlines()[0] if written.strip() else ""
    return short or (named[0].rpartition(" :: ")[2] if named else "")


def main() -> None:
    """Write it."""
    when = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", _EPOCH)), UTC)
    text = bill(LOCK.read_text("utf-8"), when)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, "utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
