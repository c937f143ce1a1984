"""An oracle that finds nothing proves nothing: every kind of fault, made on purpose, is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.scenarios.collection.feed import MINUTE, Tenant, run, tenant
from tests.support.jumping_loop import EPOCH
from tests.support.oracle import ReportedRevision, Verdict, judge

Tampering = Callable[[list[ReportedRevision]], list[ReportedRevision]]


def _judged(account: Tenant, tampering: Tampering) -> Verdict:
    window = (EPOCH - 20 * MINUTE, account.clock() - MINUTE)
    return judge(account.simulator, tampering(account.reported), account.plan.query.filters, window)


def _swapped(
    reported: list[ReportedRevision], first: ReportedRevision, second: ReportedRevision
) -> list[ReportedRevision]:
    places = {id(first): second, id(second): first}
    return [places.get(id(revision), revision) for revision in reported]


def test_each_fault_by_its_name(tmp_path: Path) -> None:
    async def story() -> None:
        async with tenant(tmp_path) as account:
            verdict = await account.story()
            reported = account.reported
            update = next(one for one in reported if one.number == 2 and not one.gone)
            before = next(one for one in reported if one.id == update.id)
            once = next(one for one in reported if [other.id for other in reported].count(one.id) == 1)

            assert verdict.faults == {}
            assert _judged(account, lambda reported: [one for one in reported if one != once]).lost == {
                once.id
            }
            assert (
                once.id in _judged(account, lambda reported: [one for one in reported if one != once]).untold
            )
            missing = _judged(account, lambda reported: [one for one in reported if one != update])
            assert update.id in missing.untold
            stranger = replace(once, id="nobody", identity="nobody")
            assert _judged(account, lambda reported: [*reported, stranger]).unknown == {"nobody"}
            other = replace(once, body={**once.body, "subject": "forged"})
            assert _judged(account, lambda reported: [*(x for x in reported if x != once), other]).forged == {
                once.id
            }
            assert _judged(account, lambda reported: _swapped(reported, before, update)).disordered == {
                update.id
            }
            assert _judged(account, lambda reported: [*reported, once]).repeats == 1
            last = [one for one in reported if one.id == update.id][-1]
            if not last.gone:
                assert (
                    update.id in _judged(account, lambda reported: [x for x in reported if x != last]).stale
                )

    run(story())
