"""The endpoints of Email Security: request to response, without any network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal
from urllib.parse import urlencode

from connector.simulator import details, envelope
from connector.simulator.actions import MessageActions
from connector.simulator.audit_logs import AuditLogs
from connector.simulator.behaviour import Behaviour
from connector.simulator.blocked_senders import BlockedSenders
from connector.simulator.criteria import Criteria, InvalidParameter, parse
from connector.simulator.deferred import DeferredResults, DeferredSearch
from connector.simulator.exchange import WRITES, ApiReply, Kind, SimulatedRequest
from connector.simulator.faults import Fault
from connector.simulator.paging import CursorRefused, PagedSearch, PagedSearches, SearchPage
from connector.simulator.submissions import Submissions
from connector.simulator.values import Body, Era, span
from connector.simulator.world import World

_PATH: Final = "/client/v4/accounts/{}/email-security/investigate"


class Api:
    """The endpoints, over one world."""

    def __init__(
        self,
        world: World,
        seed: int,
        submissions: Submissions,
        blocked_senders: BlockedSenders,
        audit_logs: AuditLogs,
    ) -> None:
        self._world = world
        self._messages = MessageActions(world)
        self._submissions = submissions
        self._blocked = blocked_senders
        self._audit_logs = audit_logs
        self._searches = PagedSearches(world, seed)
        self._deferred = DeferredResults(seed)
        self._details: dict[Kind, Callable[[Body, Body, Era], object]] = {
            "detections": lambda body, more, _: details.detections(body, more),
            "action_log": lambda body, _more, _era: details.action_log(body),
            "trace": lambda body, _more, era: details.trace(body, era),
        }

    def answer(self, ask: SimulatedRequest, behaviour: Behaviour, fault: Fault | None) -> ApiReply:
        """Answer an authorized request."""
        with self._world.lock:
            now = self._world.advance()
            self._submissions.advance(now)
            try:
                return self._answer(ask, behaviour, fault, now)
            except InvalidParameter as error:
                return envelope.failure(behaviour.invalid_status, error.problem)
            except envelope.Refusal as refusal:
                return envelope.failure(behaviour.invalid_status, refusal.problem)
            except CursorRefused:
                return envelope.failure(behaviour.cursor_expired, envelope.BAD_CURSOR)

    def _answer(self, ask: SimulatedRequest, behaviour: Behaviour, fault: Fault | None, now: int) -> ApiReply:
        if ask.kind == "poll":
            return self._poll(ask, behaviour, fault, now)
        if ask.kind in {"first", "next"}:
            return self._search(ask, behaviour, fault, now)
        if ask.kind in {"record", *self._details}:
            return self._record(ask, behaviour, now)
        if ask.kind == "audit_logs":
            return self._audit_logs.search(ask, behaviour, now)
        answer = self._act(ask, behaviour, fault, now)
        if ask.kind in WRITES:
            self._audit_logs.note(ask, answer, now)
        return answer

    def _act(  # noqa: C901, PLR0911, one line per endpoint
        self, ask: SimulatedRequest, behaviour: Behaviour, fault: Fault | None, now: int
    ) -> ApiReply:
        match ask.kind:
            case "move":
                return self._messages.move(ask, behaviour, fault, now)
            case "release":
                return self._messages.release(ask, behaviour, fault, now)
            case "preview":
                return self._messages.preview(ask, now)
            case "raw":
                return self._messages.raw(ask, now)
            case "submit":
                return self._submissions.submit(ask, behaviour, fault, now)
            case "submissions":
                return self._submissions.search(ask, now)
            case "block":
                return self._blocked.create(ask, behaviour, now)
            case "change_block":
                return self._blocked.change(ask, now)
            case "unblock":
                return self._blocked.delete(ask, now)
            case "blocks":
                return self._blocked.find(ask)
        raise AssertionError(f"no endpoint answers requests of the kind {ask.kind}")

    def _record(self, ask: SimulatedRequest, behaviour: Behaviour, now: int) -> ApiReply:
        message = self._world.find(ask.record or "")
        if message is None or not message.visible(now):
            return envelope.failure(404, envelope.NOT_FOUND)
        version = message.at(now)
        body = self._world.renderer.body(message, version)
        if ("submission", "true") in ask.query and not body["is_phish_submission"]:
            return envelope.failure(404, envelope.NOT_FOUND)
        build = self._details.get(ask.kind)
        if build is not None:
            return _detail_page(build(body, message.template.details, behaviour.era), ask, behaviour)
        answer = envelope.success(None)
        rendered = self._world.renderer.render(message, version, behaviour.era)
        answer.body = answer.body.replace(b"null", rendered, 1)
        answer.served = [(message, version)]
        return answer

    def _search(self, ask: SimulatedRequest, behaviour: Behaviour, fault: Fault | None, now: int) -> ApiReply:
        criteria = parse(ask.query, behaviour, now)
        too_long = behaviour.long_window is not None and criteria.length > span(behaviour.long_window)
        if too_long and behaviour.long_window_answer == "timeout":
            return envelope.html(504, "Gateway time-out")
        polls = self._polls(ask, behaviour, fault, too_long=too_long)
        if polls is None:
            return self._page(ask, criteria, behaviour, fault, now)
        left = None if polls == "forever" else polls
        search = f"{ask.account} {ask.path} {sorted(ask.query)}"
        lifetime = span(behaviour.pending_lifetime)
        again = fault is not None and fault.kind == "pending"
        deferred, new = self._deferred.begin(search, ask, left, now, lifetime, again=again)
        if new or deferred.look():
            return self._pending(deferred, ask, criteria, behaviour)
        return self._page(ask, criteria, behaviour, fault, now)

    @staticmethod
    def _polls(
        ask: SimulatedRequest, behaviour: Behaviour, fault: Fault | None, *, too_long: bool
    ) -> int | Literal["forever"] | None:
        """Return how many polls a search stays deferred, ``forever``, or ``None`` if it is not."""
        if fault is not None and fault.kind == "pending":
            return 1 if fault.times is None else fault.times
        if too_long:
            return "forever"
        if behaviour.pending == "never" or (ask.kind == "next" and behaviour.pending_on == "first"):
            return None
        return behaviour.pending

    def _poll(self, ask: SimulatedRequest, behaviour: Behaviour, fault: Fault | None, now: int) -> ApiReply:
        deferred = self._deferred.find(ask.record or "", now)
        if deferred is None or deferred.ask.account != ask.account:
            return envelope.failure(behaviour.pending_expired, envelope.NO_SEARCH)
        criteria = parse(deferred.ask.query, behaviour, deferred.begun)
        if not deferred.look():
            return self._page(deferred.ask, criteria, behaviour, fault, now)
        if behaviour.pending_shown == "200-empty":
            info = envelope.result_info(0, criteria.per_page, None, behaviour.last_page, behaviour.era)
            return envelope.page((), info)
        return self._pending(deferred, ask, criteria, behaviour)

    def _pending(
        self, deferred: DeferredSearch, ask: SimulatedRequest, criteria: Criteria, behaviour: Behaviour
    ) -> ApiReply:
        info = envelope.result_info(0, criteria.per_page, None, "null", behaviour.era)
        answer = envelope.page((), info, 202)
        place = f"{_PATH.format(ask.account)}/poll/{deferred.token}"
        origin = {"relative": "", "absolute": ask.origin, "foreign": behaviour.pending_origin}
        answer.headers["Location"] = origin[behaviour.pending_location] + place
        if behaviour.pending_retry_after is not None:
            answer.headers["Retry-After"] = str(behaviour.pending_retry_after)
        return answer

    def _page(
        self, ask: SimulatedRequest, criteria: Criteria, behaviour: Behaviour, fault: Fault | None, now: int
    ) -> ApiReply:
        kind = fault.kind if fault else None
        account = ask.account or ""
        if ask.cursor is None:
            search, offset = self._searches.begin(account, criteria, behaviour, now), 0
        elif kind == "lost_cursor":
            raise CursorRefused
        else:
            search, offset = self._searches.resume(ask.cursor, account, criteria.digest, behaviour, now)
        size = min(criteria.per_page, behaviour.page_limit or criteria.per_page)
        page = self._searches.page(search, offset, max(size // 2, 1) if kind == "small_page" else size)
        if page.following is None and behaviour.trailing_empty_page and len(page.records) == size:
            page = replace(page, following=self._searches.end(search))
        following = self._next(ask, search, offset, page, behaviour, kind)
        records = [] if kind == "empty_page" else page.records
        info = envelope.result_info(
            len(records), criteria.per_page, following, behaviour.last_page, behaviour.era
        )
        render = self._renderer(search.criteria, behaviour.era)
        answer = envelope.page([render(*record) for record in records], info)
        answer.served = records
        return answer

    def _next(
        self,
        ask: SimulatedRequest,
        search: PagedSearch,
        offset: int,
        page: SearchPage,
        behaviour: Behaviour,
        kind: str | None,
    ) -> str | None:
        following = offset if kind in {"empty_page", "repeat_page"} else page.following
        if following is None or kind == "missing_next":
            return None
        cursor = (
            ask.cursor if kind == "repeat_cursor" and ask.cursor else self._searches.cursor(search, following)
        )
        if behaviour.next_form == "token":
            return cursor
        query = [(name, value) for name, value in ask.query if name != "cursor"]
        return f"{ask.origin}{_PATH.format(ask.account)}?{urlencode([*query, ('cursor', cursor)])}"

    def _renderer(self, criteria: Criteria, era: Era) -> Callable[..., bytes]:
        renderer = self._world.renderer
        if era == "reference" and not criteria.with_action_log:
            return renderer.render_without_log
        return lambda message, version: renderer.render(message, version, era)


def _detail_page(result: object, ask: SimulatedRequest, behaviour: Behaviour) -> ApiReply:
    """Answer a sibling endpoint, its list in pages where the switch says so."""
    size = behaviour.details_per_page
    if size is None or not isinstance(result, list):
        return envelope.success(result)
    parameters = dict(ask.query)
    name = {"page": "page", "cursor": "cursor", "ignored": ""}[behaviour.details_paging]
    text = parameters.get(name, "1")
    number = int(text) if text.isdigit() else 1
    shown = result[(number - 1) * size : number * size]
    info: Body = {"count": len(shown), "per_page": size}
    if behaviour.details_paging == "cursor":
        info["next"] = str(number + 1) if number * size < len(result) else None
    else:
        info |= {"page": number, "total_count": len(result)}
    return envelope.success(shown, info=info)
