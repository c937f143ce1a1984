"""``check`` against the simulator: what is wrong with an account, and what to do; and the request plan."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.ops.check import CheckResult, check
from connector.settings import load
from connector.simulator import Access, Behaviour, Fault, Simulator, running
from tests.support.process import ACCOUNT, TOKEN, command, environment

OTHER = "f" * 32
CONFIG = f"""
accounts:
  prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}", base_url: "${{env:BASE}}"}}
searches:
  detections: {{every: 60s}}
outputs:
  disk: {{type: file, path: events.ndjson, mapping: raw}}
state: {{directory: state}}
server: {{listen: null}}
"""
SHARED = CONFIG.replace(
    "searches:",
    f'  more: {{account_id: {OTHER}, api_token: "${{env:TOKEN}}", base_url: "${{env:BASE}}"}}\nsearches:',
)


@contextmanager
def configured(directory: Path, simulator: Simulator, config: str = CONFIG) -> Iterator[dict[str, str]]:
    """The simulator, and the environment that leads to it."""
    (directory / "connector.yaml").write_text(config)
    with running(simulator) as base_url:
        yield environment(TOKEN=TOKEN, BASE=base_url)


async def results(directory: Path, simulator: Simulator, config: str = CONFIG) -> dict[str, CheckResult]:
    """Every verdict by its item."""
    with configured(directory, simulator, config) as environ:
        loaded = load(directory / "connector.yaml", {**os.environ, **environ})
        return {verdict.item: verdict for verdict in await check(loaded, offline=False)}


async def test_a_good_account_is_looked_at_in_every_respect(tmp_path: Path) -> None:
    found = await results(tmp_path, Simulator(backlog=200))

    looked_at = ("token", "permission", "clock", "window")
    assert [found[f"account prod {item}"].outcome for item in looked_at] == ["ok"] * 4
    assert found["search prod/detections"].outcome == "ok"
    assert not [verdict for verdict in found.values() if verdict.outcome == "failed"]


async def test_a_wrong_token_is_distinguished_from_a_missing_permission(tmp_path: Path) -> None:
    """Cloudflare answers both with code 10000; what to do differs."""
    wrong = await results(tmp_path, Simulator(access=Access(tokens=frozenset({"another"}))))
    forbidden = await results(tmp_path, Simulator(access=Access(permitted=False)))
    elsewhere = await results(tmp_path, Simulator(access=Access(accounts=frozenset({OTHER}))))

    assert wrong["account prod token"].outcome == "failed"
    assert "check that the credential is valid" in wrong["account prod permission"].hint
    for found in (forbidden, elsewhere):
        assert found["account prod token"].outcome == "ok"
        assert found["account prod permission"].outcome == "failed"
        assert "the token is valid: grant it the permission" in found["account prod permission"].hint
        assert "account_id" in found["account prod permission"].hint
        assert "account prod window" not in found


@pytest.mark.parametrize(
    ("code", "status", "todo"),
    [
        (1000, 401, "the token is valid"),
        (6003, 400, "malformed"),
        (6103, 400, "malformed"),
        (6111, 400, "malformed"),
        (7000, 404, "check account_id and base_url"),
        (7003, 404, "check account_id"),
        (9106, 400, "the API received no credential"),
        (9109, 403, "the token is valid"),
        (9300, 401, "create a new token"),
        (10000, 403, "the token is valid"),
        (10001, 401, "the token is valid"),
        (10100, 429, "other clients use up"),
        (10405, 405, "check base_url"),
        (4711, 400, "check account_id and base_url"),
    ],
)
async def test_each_known_code_has_something_to_do(tmp_path: Path, code: int, status: int, todo: str) -> None:
    simulator = Simulator()
    simulator.behaviour.script([Fault("refused", status=status, code=code, text="as it says")])

    verdict = (await results(tmp_path, simulator))["account prod permission"]

    assert verdict.outcome == "failed"
    assert f"code {code}" in verdict.text
    assert "CF-Ray" in verdict.text
    assert todo in verdict.hint


@pytest.mark.parametrize(("minutes", "word"), [(10, "behind"), (-10, "ahead")])
async def test_a_wrong_clock_is_a_note_with_its_direction(tmp_path: Path, minutes: int, word: str) -> None:
    simulator = Simulator(backlog=200, behaviour=Behaviour(skew=timedelta(minutes=minutes)))

    found = await results(tmp_path, simulator)

    assert found["account prod clock"].outcome == "note"
    assert f"600 s {word}" in found["account prod clock"].text
    assert found["search prod/detections"].outcome == "ok"


async def test_an_api_that_windows_by_another_time_is_noted(tmp_path: Path) -> None:
    simulator = Simulator(backlog=900, behaviour=Behaviour(filter_on="sent_at"))
    for hours in (30, 50):
        now = simulator.world.now() / 1_000_000
        sent = datetime.fromtimestamp(now, UTC) - timedelta(hours=2)
        simulator.world.add(scanned_at=sent - timedelta(hours=hours), sent_at=sent)

    verdict = (await results(tmp_path, simulator))["account prod window"]

    assert verdict.outcome == "note"
    assert "another time than scanned_at" in verdict.text
    assert "overlap" in verdict.hint


async def test_an_account_without_mail_cannot_be_compared(tmp_path: Path) -> None:
    found = await results(tmp_path, Simulator())

    assert found["account prod window"].outcome == "note"
    assert "no records in the last 24 hours" in found["search prod/detections"].text


async def test_a_filter_that_the_api_refuses_is_the_searchs_failure(tmp_path: Path) -> None:
    """What Cloudflare removed is accepted here, noted, and shown to be refused there."""
    config = CONFIG.replace("every: 60s", "every: 60s, filters: {exact_subject: hello}")
    simulator = Simulator(backlog=20, behaviour=Behaviour(unknown_parameter="refused"))

    found = await results(tmp_path, simulator, config)

    assert found["account prod permission"].outcome == "ok"
    assert found["search prod/detections"].outcome == "failed"
    assert "exact_subject" in found["search prod/detections"].text
    assert "filters" in found["search prod/detections"].hint


async def test_a_rate_limit_is_reported_at_once_for_all_that_share_the_credential(tmp_path: Path) -> None:
    """Waiting five minutes for a verdict would be one, too, but a poor one."""
    simulator = Simulator(backlog=20)
    simulator.behaviour.script([Fault("rate_limited", retry_after=300)], on="verify")

    async with asyncio.timeout(30):
        found = await results(tmp_path, simulator, SHARED)

    for name in ("prod", "more"):
        assert found[f"account {name}"].outcome == "failed"
        assert "for 300 s" in found[f"account {name}"].text
    assert found["request plan prod, more"].text.endswith("share a credential and its budget")


async def test_the_plan_fails_before_the_budget_does(tmp_path: Path) -> None:
    config = CONFIG.replace("every: 60s", "every: 1s, filters: {final_disposition: [SPAM, BULK, SPOOF]}")

    found = await results(tmp_path, Simulator(), config)

    assert found["request plan prod"].outcome == "failed"
    assert "poll less often; filter by fewer values of final_disposition" in found["request plan prod"].hint
    assert "live 900" in found["request plan prod/detections"].text


def test_the_plan_for_a_volume_is_printed_and_no_output_holds_the_token(tmp_path: Path) -> None:
    simulator = Simulator(backlog=200, access=Access(tokens=frozenset({TOKEN})))
    with configured(tmp_path, simulator) as environ:
        code, out, err = command("check", "--volume", "50000", environ=environ, cwd=tmp_path)
        simulator.access.tokens = frozenset({"another"})
        refused, reported, more = command("check", "--volume", "100000000", environ=environ, cwd=tmp_path)
        wrong, _, usage = command("check", "--volume", "many", environ=environ, cwd=tmp_path)

    assert (code, err) == (0, "")
    assert "ok    request plan prod: at 50,000 records a day per search, up to " in out
    assert "of 600 requests in 5m; enough for about " in out
    assert refused == 1
    assert "FAIL  request plan prod: " in reported
    assert "narrow its filters" in reported
    assert wrong == 2
    assert TOKEN not in out + err + reported + more + usage
