"""The settings ``block_senders``: create, list, change and delete entries."""

from __future__ import annotations

import ipaddress
import uuid
from typing import Final

from connector.simulator import envelope
from connector.simulator.behaviour import Behaviour
from connector.simulator.exchange import ApiReply, Effect, SimulatedRequest
from connector.simulator.payload import invalid, json_object, optional_word, page_of, truth, word
from connector.simulator.values import Body, mix, zoned

PATTERN_TYPES: Final = ("EMAIL", "DOMAIN", "IP")

_MOST: Final = 1024
"""Characters of a pattern, and of comments."""
_KEYS: Final = ("pattern", "pattern_type", "is_regex", "comments")
_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/32", "::/128", "255.255.255.255/32", "127.0.0.0/8", "::1/128", "169.254.0.0/16",
            "fe80::/10", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
        ),
    )
)  # fmt: skip
_NOT_FOUND: Final = envelope.ApiProblem(1006, "Blocked sender not found")
_DUPLICATE: Final = envelope.ApiProblem(1007, "A blocked sender with this pattern exists")


class BlockedSenders:
    """The blocked senders of the simulated account."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made = 0
        self.entries: dict[str, Body] = {}

    def find(self, ask: SimulatedRequest) -> ApiReply:
        """Answer ``GET``: one entry, or a page of those that match."""
        if ask.record is not None:
            entry = self.entries.get(ask.record)
            return envelope.failure(404, _NOT_FOUND) if entry is None else envelope.success(entry)
        query = dict(ask.query)
        rows = [
            entry
            for entry in self.entries.values()
            if all(entry[name] == query[name] for name in ("pattern", "pattern_type") if name in query)
            and query.get("search", "").casefold() in entry["pattern"].casefold()
        ]
        shown, info = page_of(query, rows)
        return envelope.success(shown, info=info)

    def create(self, ask: SimulatedRequest, behaviour: Behaviour, now: int) -> ApiReply:
        """Answer ``POST``."""
        fields = _read(json_object(ask))
        same = [one for one in self.entries.values() if one["pattern"] == fields["pattern"]]
        if same and behaviour.duplicate_blocks == "refused":
            return envelope.failure(behaviour.invalid_status, _DUPLICATE)
        self._made += 1
        high, low = mix(self._seed, self._made), mix(self._seed, -self._made)
        number = str(uuid.UUID(int=high << 64 | low, version=4))
        entry = {"id": number, **fields, "created_at": zoned(now), "modified_at": zoned(now)}
        self.entries[number] = entry
        answer = envelope.success(entry)
        answer.status, answer.effects = 201, [Effect(now, "block", number, dict(fields))]
        return answer

    def change(self, ask: SimulatedRequest, now: int) -> ApiReply:
        """Answer ``PATCH`` (some members) and ``PUT`` (all; what is omitted is reset)."""
        entry = self.entries.get(ask.record or "")
        if entry is None:
            return envelope.failure(404, _NOT_FOUND)
        payload = json_object(ask)
        if ask.method == "PATCH":
            if not payload.keys() & set(_KEYS):
                raise invalid("/", "at least one property")
            payload = {**{name: entry[name] for name in _KEYS}, **payload}
        entry.update(_read(payload), modified_at=zoned(now))
        answer = envelope.success(entry)
        answer.effects = [Effect(now, "change_block", entry["id"], {})]
        return answer

    def delete(self, ask: SimulatedRequest, now: int) -> ApiReply:
        """Answer ``DELETE``."""
        if self.entries.pop(ask.record or "", None) is None:
            return envelope.failure(404, _NOT_FOUND)
        answer = envelope.success({"id": ask.record})
        answer.effects = [Effect(now, "unblock", ask.record or "", {})]
        return answer


def _read(payload: Body) -> Body:
    pattern = word(payload, "pattern", most=_MOST)
    kind = word(payload, "pattern_type", PATTERN_TYPES)
    is_regex = truth(payload, "is_regex")
    if kind == "IP" and not is_regex and not _is_public(pattern):
        raise invalid("/pattern", "a public IP address")
    return {
        "pattern": pattern, "pattern_type": kind, "is_regex": is_regex,
        "comments": optional_word(payload, "comments", _MOST),
    }  # fmt: skip


def _is_public(text: str) -> bool:
    """Return whether the API takes the address or network: none of this machine, link or site."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    address = mapped or network.network_address
    return not any(address in own for own in _NOT_PUBLIC)
