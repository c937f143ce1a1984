"""Finds and loads mapping files by name: the user's directories first, then the packs that ship."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from connector.errors import ConfigurationError, Position, Problem
from connector.mapping.cache import MappingCache
from connector.mapping.language.file import MappingFile, read_mapping_file
from connector.mapping.language.pack import Pack, merge
from connector.mapping.language.refs import config_error
from connector.mapping.language.validate import validate
from connector.model import SearchSource
from connector.yaml_nodes import parse, suggestion

PRELUDE = "common"
_HEARTBEAT = "heartbeat"
_ACTION = "action"
_SUFFIX = ".yaml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def shipped_directory() -> Traversable:
    """Where the packs are: inside the installed package, or beside it in a checkout."""
    package = files("connector")
    packs = package / "packs"
    return packs if packs.is_dir() else Path(str(package)).parent / "mappings"


class _Read(NamedTuple):
    """A mapping file as it was read. *key* is equal for equal content: name, path, digest of the text."""

    key: tuple[str, str, bytes]
    document: MappingFile


class Library:
    """All mappings that can be used by name. *directories* are a user's own; earlier ones win.

    Files are read again by every ``load``; what is parsed and merged is kept in *cache*.
    """

    def __init__(self, directories: Sequence[Traversable] = (), cache: MappingCache | None = None) -> None:
        self.cache = MappingCache() if cache is None else cache
        self._directories: tuple[Traversable, ...] = (*directories, shipped_directory())

    def names(self) -> Sequence[str]:
        """The mappings that ``load`` takes, in alphabetical order."""
        return sorted(name for name in self._known() if name != PRELUDE)

    def shipped_names(self) -> Sequence[str]:
        """The built-in mappings that ``load`` takes, of records from one source."""
        names = (entry.name.removesuffix(_SUFFIX) for entry in _entries(self._directories[-2]))
        return sorted(name for name in names if name != PRELUDE)

    def overrides(self) -> frozenset[str]:
        """Names of built-in mappings that a user's own files replace."""
        *own, shipped = self._directories
        built_in = {entry.name for entry in _entries(shipped)}
        names = {entry.name for place in own for entry in _entries(place)} & built_in
        return frozenset(name.removesuffix(_SUFFIX) for name in names)

    def misnamed(self) -> dict[str, str]:
        """Files of a user's own that are not read, by path, with the built-in mapping that applies instead.

        Only the end or the case of their names is not that of a mapping: ``ecs.yml``.
        """
        found: dict[str, str] = {}
        for below in (".", _HEARTBEAT, _ACTION, SearchSource.SUBMISSIONS, SearchSource.AUDIT_LOGS):
            *own, shipped = (place / below for place in self._directories)
            built_in = {entry.name for entry in _entries(shipped)}
            for place in own:
                names = [entry.name for entry in place.iterdir()] if place.is_dir() else []
                for name in names:
                    stem, _, suffix = name.lower().rpartition(".")
                    meant = f"{stem}{_SUFFIX}"
                    if suffix in {"yaml", "yml"} and meant in built_in and meant not in names:
                        found[str(place / name)] = stem
        return found

    def load(self, name: str) -> Pack:
        """The mapping *name* with all that it inherits.

        Raises:
            ConfigurationError: with the place of everything that keeps it from being used.
        """
        return self._pack([*self._inheritance_chain(PRELUDE), *self._inheritance_chain(name)])

    def prelude(self) -> Pack:
        """What every mapping has in scope, as a mapping without fields: the scope of a bare ``when``."""
        return self._pack(self._inheritance_chain(PRELUDE))

    def heartbeats(self) -> Library:
        """The mappings of heartbeats, one per format, in the directory ``heartbeat`` of each place."""
        return Library([place / _HEARTBEAT for place in self._directories], self.cache)

    def _pack(self, chain: Sequence[_Read]) -> Pack:
        def make() -> Pack:
            return _validated(merge([read.document for read in chain]))

        return self.cache.get(("pack", *(read.key for read in chain)), make)

    def actions(self) -> Library:
        """The mappings of audit events, one per format, in the directory ``action`` of each place."""
        return Library([place / _ACTION for place in self._directories], self.cache)

    def of_source(self, source: SearchSource) -> Library:
        """The mappings of records from *source*: below the directories, except for messages."""
        if source is SearchSource.INVESTIGATE:
            return self
        return Library([place / source for place in self._directories], self.cache)

    def _known(self) -> set[str]:
        return {entry.name.removesuffix(_SUFFIX) for place in self._directories for entry in _entries(place)}

    def _inheritance_chain(self, name: str) -> list[_Read]:
        """The files of *name*, the most general first."""
        chain: list[_Read] = []
        visited: set[tuple[str, int]] = set()
        start, extends_at = 0, None
        while True:
            read, place = self._find(name, start, extends_at)
            document = read.document
            if (name, place) in visited:
                raise config_error(f"{name} extends itself", document.position)
            visited.add((name, place))
            chain.insert(0, read)
            if document.extends is None:
                return chain
            # A file that extends its own name means the one that it shadows.
            start = place + 1 if document.extends == name else 0
            name, extends_at = document.extends, document.extends_at

    def _find(self, name: str, start: int, extends_at: Position | None) -> tuple[_Read, int]:
        for index, place in enumerate(self._directories[start:], start):
            file = place / f"{name}{_SUFFIX}"
            if _NAME.fullmatch(name) and file.is_file():
                return self._read(name, file), index
        raise ConfigurationError(Problem(f"there is no mapping {name}", extends_at, self._hint(name, start)))

    def _read(self, name: str, file: Traversable) -> _Read:
        text, path = _text(file), str(file)
        key = (name, path, sha256(text.encode()).digest())
        document = self.cache.get(("file", *key), lambda: read_mapping_file(name, parse(text, path)))
        return _Read(key, document)

    def _hint(self, name: str, start: int) -> str:
        if start:
            return f"there is no other {name}{_SUFFIX} to extend"
        return suggestion(name, self.names())


def _validated(pack: Pack) -> Pack:
    problems = validate(pack)
    if problems:
        raise ConfigurationError(*problems)
    return pack


def _entries(place: Traversable) -> Iterable[Traversable]:
    if not place.is_dir():
        raise ConfigurationError(Problem(f"{place} is not a directory of mappings"))
    return (entry for entry in place.iterdir() if entry.name.endswith(_SUFFIX) and entry.is_file())


def _text(file: Traversable) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(Problem(f"{file} cannot be read: {error}")) from None
