"""Microsoft's own parser of Adaptive Cards has nothing to complain about in the cards of the Teams recipe."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.scenarios.recipes.running import accepted, run_recipe
from tests.support.process import ROOT
from tests.support.programs import program, tool


def complaints(cards: Sequence[Any]) -> list[list[str]]:
    """Return what the parser says of each card."""
    package = tool("adaptivecards.d") / "node_modules" / "adaptivecards"
    done = subprocess.run(
        [program("node", "nodejs"), ROOT / "tests" / "support" / "adaptive_cards.cjs", package],
        input="".join(json.dumps(card) + "\n" for card in cards),
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_every_card_is_well_formed(tmp_path: Path) -> None:
    delivery = await run_recipe("teams", tmp_path, accepted(202))
    cards = [attachment["content"] for body in delivery.bodies() for attachment in body["attachments"]]

    assert len(cards) > 10
    assert complaints(cards) == [[]] * len(cards)


def test_a_wrong_card_would_be_found() -> None:
    card = {
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "TextBlock", "text": "x", "size": "hgue"}],
    }

    assert complaints([card]) == [['Invalid value "hgue" for property "size".']]
