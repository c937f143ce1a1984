"""The API's host is gone and comes back at the same address: nobody has to restart anything."""

from __future__ import annotations

from pathlib import Path

from connector.facts import CollectionFailed, CollectionRecovered
from tests.scenarios.collection.feed import MINUTE, run, tenant


def test_the_feed_goes_on_by_itself_and_nothing_is_missed(tmp_path: Path) -> None:
    async def story() -> None:
        async with tenant(tmp_path) as account:
            await account.collect(4 * MINUTE)
            collecting = account.start()
            await account.sleep(3 * MINUTE)
            await account.unplug()
            await account.sleep(15 * MINUTE)
            assert account.seen(CollectionFailed)
            assert not account.seen(CollectionRecovered)
            await account.plug_in()
            await account.sleep(5 * MINUTE)
            assert account.seen(CollectionRecovered)
            await account.stop(collecting)
            verdict = await account.story(MINUTE)

            assert verdict.faults == {}
            assert verdict.repeats == 0

    run(story())
