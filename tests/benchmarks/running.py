"""The daemon as an operator meets it: starting, doing nothing, the first event, many feeds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Report, at_most
from tests.benchmarks.processes import (
    Connector,
    api,
    collectors,
    connector,
    cpu,
    outputs,
    plain_feed,
    rss,
    wait_for,
)
from tests.support.process import environment

_KINDS = {"siem": "hec"}
_CREDENTIALS = 20
_FIRST_WAIT = 60.0


def starting(report: Report, rounds: int) -> None:
    """From the command to the endpoint; from there to the first event at the collector."""
    started, spent, first = [], [], []
    with api(2000) as url:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as place, collectors(_KINDS) as collected:
                config = {**plain_feed(url), "outputs": outputs(collected, _KINDS)}
                with connector(Path(place), config, BENCH_TOKEN="x") as running:
                    wait_for(lambda: sum(collected.counts().values()) > 0, _FIRST_WAIT, every=0.005)
                    first.append(time.monotonic() - running.ready)
                    started.append(running.ready - running.begun)
                    spent.append(running.cpu_at_start)
    report.add("running", "start, by the clock", min(started), "s", budget=at_most(2.5))
    report.add("running", "start, CPU", min(spent), "s")
    libraries = min(_importing("httpx, pydantic") for _ in range(rounds))
    report.add("running", "start, CPU beside importing httpx and pydantic", min(spent) / libraries, "times")
    # From the announcement: the request for the first page is within it.
    report.add("running", "first event after that", min(first), "s", budget=at_most(1.0))


def _importing(modules: str) -> float:
    """Seconds of CPU of an interpreter that imports *modules* and ends."""
    process = subprocess.Popen([sys.executable, "-c", f"import {modules}"], env=environment())
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    return used.ru_utime + used.ru_stime


def idle(report: Report, seconds: float) -> None:
    """One feed polled every minute and nothing new."""
    with api(0) as url, tempfile.TemporaryDirectory() as place, collectors(_KINDS) as collected:
        config = {**plain_feed(url, revisit=["5m", "1h"]), "outputs": outputs(collected, _KINDS)}
        with connector(Path(place), config, BENCH_TOKEN="x") as running:
            wait_for(lambda: running.status()["ready"], _FIRST_WAIT)
            report.add("running", "memory after the start", rss(running.pid), "MiB")
            share = _share(running, seconds)
    report.add("running", "idle", share * 100, "% of a core", budget=at_most(0.5))


def feeds(report: Report, counts: list[int], seconds: float, every: int) -> None:
    """So many feeds over 20 credentials: are walks on time, requests within budget, memory bounded?"""
    # At the same time: each is its own process, and neither takes much of a core.
    with api(2000, rate=5.0, limited=True) as url, ThreadPoolExecutor(len(counts)) as threads:
        for done in [threads.submit(_feeds, report, url, count, seconds, every) for count in counts]:
            done.result()


def _feeds(report: Report, url: str, count: int, seconds: float, every: int) -> None:
    with tempfile.TemporaryDirectory() as place, collectors(_KINDS) as collected:
        config = {**_many(url, count, every), "outputs": outputs(collected, _KINDS)}
        with connector(Path(place), config, BENCH_TOKEN="x") as running:
            wait_for(lambda: all(_fresh(running)), every * 2.0)
            share = _share(running, seconds)
            status, size = running.status(), rss(running.pid)
    name = f"{count} feed{'s' if count > 1 else ''}"
    oldest = min(datetime.fromisoformat(feed["fresh_at"] or status["started"]) for feed in status["feeds"])
    age = (datetime.fromisoformat(status["time"]) - oldest).total_seconds()
    blocked = sum(account["rate_limited_until"] is not None for account in status["accounts"])
    report.add("feeds", f"{name} every {every} s", share * 100, "% of a core")
    # A walk that is on time leaves no feed older than one interval, and what a walk itself takes.
    report.add("feeds", f"{name}: longest since a feed was read", age, "s", budget=at_most(1.5 * every))
    report.add("feeds", f"{name}: over budget", blocked, "credentials", budget=at_most(0))
    report.add("feeds", f"{name}: memory", size, "MiB", budget=at_most(150))


def _fresh(running: Connector) -> list[bool]:
    return [feed["state"] == "fresh" for feed in running.status()["feeds"]]


def _many(url: str, count: int, every: int) -> dict[str, Any]:
    """*count* feeds: at most 20 accounts with a credential each, the searches spread over them."""
    accounts = min(_CREDENTIALS, count)
    searches = -(-count // accounts)
    return {
        "accounts": {
            f"account_{number}": {
                "account_id": f"{number:032x}",
                "api_token": f"token-{number}",
                "base_url": url,
            }
            for number in range(1, accounts + 1)
        },
        "searches": {
            f"search_{number}": {
                "every": f"{every}s",
                "start": "10m",
                "filters": {"subject": f"needle {number}"} if number else {},
            }
            for number in range(searches)
        },
    }


def _share(running: Connector, seconds: float) -> float:
    begun, before = time.monotonic(), cpu(running.pid)
    time.sleep(seconds)
    return (cpu(running.pid) - before) / (time.monotonic() - begun)
