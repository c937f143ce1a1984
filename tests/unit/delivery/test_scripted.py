"""The scripted output follows its story and notices a caller that breaks the contract."""

from __future__ import annotations

import asyncio

import pytest

from connector.errors import Refused, Retryable
from connector.model import Limits, Receipt
from connector.testing.scripted import ScriptedOutput, Unanswered, hang, refusing
from tests.unit.delivery.fakes import plain, revision

A, B = plain(revision("a")), plain(revision("b"))


async def test_the_story_is_followed_and_then_everything_is_taken() -> None:
    output = ScriptedOutput(
        [Retryable("busy"), Receipt(rejected={0: "?"}), Unanswered(Retryable("timed out"))],
        opening=[Retryable("down"), None],
    )
    with pytest.raises(Retryable):
        await output.open()
    await output.open()
    with pytest.raises(Retryable, match="busy"):
        await output.send([A])
    await output.open()
    assert await output.send([A, B]) == Receipt(rejected={0: "?"})
    with pytest.raises(Retryable, match="timed out"):
        await output.send([A])
    await output.open()
    assert await output.send([A]) == Receipt()
    await output.close()

    assert output.identities == ["b", "a", "a"]
    assert output.repeats == 1
    assert output.sends == [["a"], ["a", "b"], ["a"], ["a"]]
    assert output.contract_violations == []


async def test_every_misuse_is_named() -> None:
    output = ScriptedOutput(
        [Receipt(), Receipt(), Retryable("x"), Receipt(), hang],
        limits=Limits(events=1, bytes=1, event_bytes=1),
    )
    await output.send([A])
    await output.open()
    await output.send([])
    with pytest.raises(Retryable):
        await output.send([A, plain(revision("long"))])
    await output.send([A])
    hanging = asyncio.create_task(output.send([A]))
    await asyncio.sleep(0)
    await output.send([B])
    await output.close()
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)

    assert output.contract_violations == [
        "sent without open, or after an error",
        "sent nothing",
        "sent too many events",
        "sent too many bytes",
        "sent too large an event",
        "sent without open, or after an error",
        "sent without open, or after an error",
        "sent without open, or after an error",
        "sent too many batches at once",
        "closed while a send was under way",
    ]


async def test_a_refusal_names_no_suspect_of_its_own() -> None:
    answer = refusing(lambda event: event is B)

    assert answer([A]) == Receipt()
    with pytest.raises(Refused):
        answer([A, B])
