"""With only a token, an account and a base URL, ``run`` polls that server and prints ECS."""

from __future__ import annotations

from pathlib import Path

from connector.simulator import Access, Simulator, running
from tests.support.process import ACCOUNT, TOKEN, daemon, environment, until


def test_three_variables_make_a_daemon(tmp_path: Path) -> None:
    simulator = Simulator(backlog=300, access=Access(tokens=frozenset({TOKEN})))
    with running(simulator) as base_url:
        environ = environment(
            CLOUDFLARE_API_TOKEN=TOKEN, CLOUDFLARE_ACCOUNT_ID=ACCOUNT, CLOUDFLARE_BASE_URL=base_url
        )
        own = {
            "CONNECTOR_STATE__DIRECTORY": str(tmp_path / "state"),
            "CONNECTOR_SERVER__LISTEN": "127.0.0.1:0",
        }
        with daemon(tmp_path, {**environ, **own}) as connector:
            until(connector.ready, "readiness")
            expected = simulator.ledger.ids({})
            until(lambda: len(connector.events()) >= len(expected), "all events")
            code = connector.terminate()

    events = connector.events()
    assert code == 0
    assert len(expected) > 100
    assert sorted(event["event"]["id"] for event in events) == sorted(expected)
    assert {event["organization"]["id"] for event in events} == {ACCOUNT}
    assert TOKEN not in "".join(connector.logs) + connector.stdout.read_text()
    assert not any(
        TOKEN.encode() in path.read_bytes() for path in (tmp_path / "state").iterdir() if path.is_file()
    )
