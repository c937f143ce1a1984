"""A reload: what is wrong is told and changes nothing, what is right is built beside the old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.app import daemon
from connector.app.build import App, build_app
from connector.app.reload import Reload, changes
from connector.app.signals import Stop
from connector.errors import ConfigurationError, JournalFull, Problem
from connector.model import Backlog, Feed, FeedOutline, Outline, SearchSource
from connector.settings import Loaded, load
from tests.support.known_feeds import KnownFeeds
from tests.support.process import ACCOUNT, TOKEN

CONFIG = f"""
accounts:
  prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}"}}
searches:
  detections: {{every: 60s}}
outputs:
  siem: {{type: stdout}}
state: {{directory: state}}
server: {{listen: null}}
log: {{level: error}}
"""


def read(directory: Path, text: str = CONFIG) -> Loaded:
    file = directory / "connector.yaml"
    file.write_text(text)
    return load(file, {"TOKEN": TOKEN})


@pytest.fixture
def app(tmp_path: Path) -> App:
    return build_app(read(tmp_path), lambda: datetime.now(UTC))


def reported(app: App) -> list[str]:
    problems: list[str] = app.core.telemetry.snapshot()["configuration"]["problems"]
    return problems


def failing(*errors: Exception, then: Loaded) -> Callable[[], Loaded]:
    left = list(errors)

    def read_again() -> Loaded:
        if left:
            raise left.pop(0)
        return then

    return read_again


async def test_what_is_refused_is_reported_and_the_next_try_is_waited_for(app: App, tmp_path: Path) -> None:
    wrong = ConfigurationError(Problem("first"), Problem("second"))
    reload = Reload(failing(wrong, ValueError("a bug"), then=read(tmp_path)))
    waiting = asyncio.create_task(reload.next_app(app, Stop(), KnownFeeds()))

    assert (await reload.handle({}))["problems"] == ["first", "second"]
    assert reported(app) == ["first", "second"]
    (problem,) = (await reload.handle({}))["problems"]
    assert "ValueError" in problem
    assert "a bug" not in problem, "the text of an unexpected error may hold anything"

    reload.request()
    successor = await waiting
    assert successor is not None
    assert successor.core.telemetry is app.core.telemetry


async def test_what_only_a_restart_does_is_told_to_whoever_asked(app: App, tmp_path: Path) -> None:
    reload = Reload(lambda: read(tmp_path, CONFIG.replace("listen: null", "listen: '127.0.0.1:0'")))
    waiting = asyncio.create_task(reload.next_app(app, Stop(), KnownFeeds()))
    asking = asyncio.create_task(reload.handle({}))

    assert await waiting is not None
    reload.finish(changes=["output siem changed"])
    assert await asking == {
        "problems": [],
        "changes": ["output siem changed"],
        "restart": ["server changed: takes effect after a restart"],
    }


async def test_every_reload_tells_when_actions_listen_elsewhere_than_configured(tmp_path: Path) -> None:
    """It compares with what listens, not with the configuration before."""
    caller = "{ci: {token: 0123456789abcdef0123456789abcdef, may: [search]}}"
    text = f"{CONFIG}actions: {{listen: '127.0.0.1:0', callers: {caller}}}\n"
    moved = text.replace("127.0.0.1:0", "127.0.0.1:1")
    current = build_app(read(tmp_path, text), lambda: datetime.now(UTC))
    listener = current.core.actions
    assert listener is not None

    async def told(configuration: str) -> bool:
        nonlocal current
        reload = Reload(lambda: read(tmp_path, configuration))
        asking = asyncio.create_task(reload.handle({}))
        successor = await reload.next_app(current, Stop(), KnownFeeds())
        assert successor is not None
        current = successor
        reload.finish()
        return "restart" in await asking

    assert not await told(text.replace("60s", "50s"))
    assert await told(moved)
    assert await told(moved.replace("60s", "50s"))
    assert not await told(text)
    assert not await told(CONFIG)
    listener.sock.close()  # as the daemon does when the section is gone
    assert await told(text)


async def test_an_account_that_could_not_connect_is_refused(app: App, tmp_path: Path) -> None:
    """Found later, it would end the daemon instead: what collected and delivered before is gone by then."""
    text = CONFIG.replace('"${env:TOKEN}"', '"${env:TOKEN}", tls: {ca_file: missing.pem}')
    reload = Reload(failing(then=read(tmp_path, text)))
    waiting = asyncio.create_task(reload.next_app(app, Stop(), KnownFeeds()))

    (problem,) = (await reload.handle({}))["problems"]
    assert "connector.yaml:3" in problem
    assert "accounts.prod.tls.ca_file: " in problem
    assert "missing.pem" in problem
    waiting.cancel()


async def test_a_stop_ends_the_waiting(app: App, tmp_path: Path) -> None:
    stop = Stop()
    reload = Reload(lambda: read(tmp_path))
    stop.request("SIGTERM")

    assert await reload.next_app(app, stop, KnownFeeds()) is None


async def test_state_and_endpoint_stay_and_that_is_said(app: App, tmp_path: Path) -> None:
    text = CONFIG.replace("directory: state", "directory: elsewhere").replace("60s", "30s")
    reload = Reload(lambda: read(tmp_path, text))
    reload.request()
    successor = await reload.next_app(app, Stop(), KnownFeeds())

    assert successor is not None
    assert successor.settings.state == app.settings.state
    noted = [one["text"] for one in app.core.telemetry.snapshot()["recent_problems"]]
    assert any("state changed" in text for text in noted)
    assert changes(app.settings, successor.settings) == ("search detections changed",)


async def test_a_journal_without_room_is_asked_again_before_anything_is_collected(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Journal:
        asked = 0

        async def attach(self, output: str, start: str, backlog: Backlog) -> int:
            self.asked += 1
            if self.asked < 3:
                raise JournalFull("no room")
            return 0

        async def outline(self) -> Outline:
            return Outline(0, 0, (), ())

    monkeypatch.setattr(daemon, "_ATTACH_RETRY", 0.01)
    journal = Journal()

    assert await daemon._switch_to(app, journal, Stop())  # type: ignore[arg-type]
    assert journal.asked == 3


async def test_a_search_that_would_read_another_source_is_refused(app: App, tmp_path: Path) -> None:
    known = FeedOutline(Feed(ACCOUNT, "detections"), {}, (), 5, source=SearchSource.INVESTIGATE)
    text = CONFIG.replace("{every: 60s}", "{source: submissions}")
    reload = Reload(lambda: read(tmp_path, text))
    waiting = asyncio.create_task(reload.next_app(app, Stop(), KnownFeeds(known)))

    (problem,) = (await reload.handle({}))["problems"]
    assert "connector.yaml:5" in problem
    assert "searches.detections.source: " in problem
    assert "has read investigate so far, not submissions" in problem
    assert not waiting.done()
    waiting.cancel()


async def test_a_journal_that_does_not_answer_refuses_the_reload_and_not_for_ever(
    app: App, tmp_path: Path
) -> None:
    reload = Reload(lambda: read(tmp_path))
    waiting = asyncio.create_task(reload.next_app(app, Stop(), KnownFeeds(error=TimeoutError())))

    (problem,) = (await reload.handle({}))["problems"]
    assert "the journal does not answer" in problem
    waiting.cancel()
