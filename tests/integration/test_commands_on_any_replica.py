"""An operator's command works on any replica, also where another one does the work."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.app.control.server import ask
from tests.crash.replicas import SCHEMA, Daemon, Site, site
from tests.support.process import ACCOUNT, TOKEN, command, environment

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("replicas")]
_PATIENCE = 60.0


def call(daemon: Daemon, command: str, **arguments: object) -> Any:
    """The answer of one replica."""
    return asyncio.run(ask(daemon.config.parent / "state", command, **arguments))


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def idle_for(place: Site, lease: str) -> Daemon:
    """A replica that does not hold *lease*, while another one does."""
    holders = {one.pid: place.held_by(one.pid) for one in place.daemons}
    assert any(lease in held for held in holders.values())
    return next(one for one in place.daemons if lease not in holders[one.pid])


def elsewhere_of(place: Site, directory: Path) -> Path:
    """The configuration of a replica with a state directory in which none runs."""
    file, own = directory / "elsewhere.yaml", place.daemons[0].config
    file.write_text(own.read_text().replace(str(own.parent / "state"), str(directory / "empty")))
    return file


def test_run_once_ends_where_other_replicas_do_the_work(tmp_path: Path) -> None:
    with site(tmp_path, 1, retain="1h") as place:
        assert place.daemons[0].end(signal.SIGTERM) == 0
        # One that gives nothing away, for replicas share the work with whoever comes.
        ends = "clock_timestamp() + interval '1 hour'"
        place.server.execute(f"UPDATE {SCHEMA}.leases SET holder = 'elsewhere', expires = {ends}")
        arguments = ("run", "--once", "-c", str(elsewhere_of(place, tmp_path)))
        code, _, reported = command(*arguments, environ=environment(TOKEN=TOKEN), cwd=tmp_path)

    assert code == 1
    assert "feed prod/detections was not collected: another replica does it" in reported


def test_commands_work_on_any_replica(tmp_path: Path) -> None:
    with site(tmp_path, 2, retain="1h") as place:
        until(lambda: all(call(one, "status")["ready"] for one in place.daemons), "both are ready")
        until(lambda: len(place.sink.received["one"]) > 0, "something was delivered")

        # A backfill: any replica takes it, the one that collects does it, all know how far it is.
        asker = idle_for(place, f"account/{ACCOUNT}")
        end = datetime.now(UTC) - timedelta(seconds=20)
        request = {
            "account": ACCOUNT, "search": "detections", "asked": ["a", "b"], "everything": True,
            "start": (end - timedelta(seconds=20)).isoformat(), "end": end.isoformat(),
        }  # fmt: skip
        number = call(asker, "backfill", **request)["number"]
        names = {"account": ACCOUNT, "search": "detections", "number": number}
        until(lambda: call(asker, "backfill_show", **names)["done"], "the backfill is done")
        assert all(call(one, "backfill_show", **names)["again"] > 0 for one in place.daemons)

        # A rewind: the replica that delivers learns of it.
        asker = idle_for(place, "output/one")
        until(lambda: call(asker, "rewind_preview", output="one", to=0)["position"] > 0, "a position")
        received = len(b"".join(place.sink.received["one"]).splitlines())
        again = call(asker, "rewind", output="one", to=0)["revisions"]
        assert again > 0
        until(
            lambda: len(b"".join(place.sink.received["one"]).splitlines()) >= received + again,
            "everything was sent again",
        )

        # The same from anywhere with the configuration, though no replica runs there.
        elsewhere = elsewhere_of(place, tmp_path)
        environ = environment(TOKEN=TOKEN)
        for arguments, expected, told in (
            (("show",), 0, "no replica is running here; reading the journal in the database"),
            (("rewind", "two", "--to", "0", "--yes"), 0, "will be sent again as soon as a replica runs"),
            (("check",), 1, "the journal is in the database (state.postgres)"),
            (("recover", "--yes"), 1, "the journal is in the database (state.postgres)"),
        ):
            code, _, err = command("state", *arguments, "-c", str(elsewhere), environ=environ, cwd=tmp_path)
            assert (code, told in err) == (expected, True), err

        # A resume of what another replica does is no error; a reload reaches every replica.
        assert call(idle_for(place, "output/two"), "resume", name="two") == {"resumed": ["two"]}
        before = [call(one, "status")["configuration"]["at"] for one in place.daemons]
        for one in place.daemons:
            one.config.write_text(one.config.read_text().replace("linger: 100ms", "linger: 90ms"))
        assert len(call(place.daemons[0], "reload")["changes"]) == 3

        def reloaded() -> bool:
            now = [call(one, "status")["configuration"]["at"] for one in place.daemons]
            return all(later > earlier for later, earlier in zip(now, before, strict=True))

        until(reloaded, "both have reloaded")
        assert [one.end(signal.SIGTERM) for one in place.daemons] == [0, 0]
