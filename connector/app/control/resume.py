"""``resume``: ends the waits of the daemon, so that the next attempt happens now instead of at its time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connector.app.collectors import FeedPlan
from connector.collect.collector import Collector
from connector.delivery import Deliverer
from connector.errors import ConnectorError
from connector.facts import RequestsResumed
from connector.interfaces import Observe
from connector.model import JsonObject
from connector.source.client import CloudflareSource
from connector.yaml_nodes import suggestion


class ResumeService:
    """Resumes accounts (rate limits), feeds (backoff after failures) and outputs (backoff, holds)."""

    def __init__(
        self,
        sources: Mapping[str, CloudflareSource],
        collectors: Iterable[tuple[FeedPlan, Collector]],
        deliverers: Mapping[str, Deliverer],
        outputs: Iterable[str],
        observe: Observe,
    ) -> None:
        self._sources = sources
        self._collectors = tuple(collectors)
        self._deliverers = deliverers
        self._outputs = tuple(outputs)
        self._observe = observe

    async def resume(self, request: JsonObject) -> JsonObject:
        """Resume ``name``, an account, a search, ``account/search`` or an output; everything without it.

        Returns the names under ``resumed``. An account resumes its feeds as well, and a feed
        its account's rate limit: one without the other would keep waiting.
        """
        name = request.get("name")
        feeds = [(plan, collector) for plan, collector in self._collectors if _is_meant(plan, name)]
        accounts = {plan.account for plan, _ in feeds}
        accounts |= {account for account in self._sources if name in {None, account}}
        outputs = [output for output in self._outputs if name in {None, output}]
        if not accounts and not outputs:
            raise ConnectorError(f"no account, feed or output is named {name!r}{self._suggest(str(name))}")
        for account in accounts:
            await self._sources[account].resume()
        for _, collector in feeds:
            collector.resume()
        for output in outputs:
            if output in self._deliverers:  # else another replica delivers to it
                self._deliverers[output].resume()
        names = [f"{plan.account}/{plan.plan.feed.search}" for plan, _ in feeds]
        resumed = [*sorted(accounts), *names, *outputs]
        for resumed_name in resumed:
            self._observe(RequestsResumed(resumed_name))
        return {"resumed": resumed}

    async def resume_account(self, account_id: str) -> None:
        """Resume the account with Cloudflare's id *account_id* and its feeds, if it is configured."""
        for plan, collector in self._collectors:
            if plan.plan.feed.account == account_id:
                await self._sources[plan.account].resume()
                collector.resume()

    def _suggest(self, name: str) -> str:
        searches = {plan.plan.feed.search for plan, _ in self._collectors}
        hint = suggestion(name, [*self._sources, *self._outputs, *searches])
        return f"; {hint}" if hint else ""


def _is_meant(plan: FeedPlan, name: object) -> bool:
    search = plan.plan.feed.search
    return name in {None, plan.account, search, f"{plan.account}/{search}"}
