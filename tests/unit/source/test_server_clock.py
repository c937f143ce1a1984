"""The server's clock: one odd answer does not move it, and time goes on between answers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from email.utils import format_datetime

from connector.facts import ClockSkewed, Fact
from connector.source.server_clock import ServerClock
from tests.support.jumping_loop import EPOCH, run, wall_clock


def test_it_advances_by_the_monotonic_clock_and_ignores_one_odd_answer() -> None:
    async def story() -> None:
        facts: list[Fact] = []
        local = wall_clock(asyncio.get_running_loop())
        clock = ServerClock("a", local, facts.append)
        for _ in range(5):
            clock.learn(format_datetime(local() - timedelta(seconds=30), usegmt=True), 0.2)
            await asyncio.sleep(1)
        clock.learn("Thu, 01 Jan 1970 00:00:00 GMT", 0.2)
        await asyncio.sleep(3600)
        off = clock.now() - (EPOCH + timedelta(seconds=3605 - 30))
        assert abs(off) <= timedelta(seconds=1)
        reported = [fact.seconds for fact in facts if isinstance(fact, ClockSkewed)]
        assert len(reported) == 1
        assert abs(reported[0] + 30) <= 1

    run(story())


def test_it_follows_once_the_answers_agree_on_a_new_time() -> None:
    async def story() -> None:
        facts: list[Fact] = []
        local = wall_clock(asyncio.get_running_loop())
        clock = ServerClock("a", local, facts.append)
        clock.learn(format_datetime(local(), usegmt=True), 0)
        for _ in range(9):
            clock.learn(format_datetime(local() + timedelta(hours=1), usegmt=True), 0)
        assert abs(clock.skew - 3600) <= 1
        assert clock.ahead(local() + timedelta(hours=2)) > timedelta(minutes=59)
        assert clock.ahead(local()) == timedelta(0)
        assert isinstance(facts[-1], ClockSkewed)
        assert abs(facts[-1].seconds - 3600) <= 1

    run(story())


def test_headers_that_tell_no_time_are_passed_over() -> None:
    async def story() -> None:
        clock = ServerClock("a", wall_clock(asyncio.get_running_loop()), lambda _: None)
        zero = ("Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT")
        endless = ("Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -2300")
        for header in (None, "", "now", "Fri, 99 Nov 2026 00:00:00 GMT", *zero, *endless):
            clock.learn(header, 0.1)
        assert not clock.known
        assert clock.now() == EPOCH

    run(story())
