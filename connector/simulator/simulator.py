"""``Simulator``: the entry point that wires world, ledger, access and HTTP application."""

from __future__ import annotations

from datetime import timedelta

from starlette.applications import Starlette

from connector.simulator.access import Access
from connector.simulator.api import Api
from connector.simulator.app import RequestHandler, build
from connector.simulator.audit_logs import AuditLogs
from connector.simulator.behaviour import Behaviour
from connector.simulator.blocked_senders import BlockedSenders
from connector.simulator.changes import Changes
from connector.simulator.ledger import Ledger
from connector.simulator.mail.composition import Recipe
from connector.simulator.mail.corpus import Corpus
from connector.simulator.submissions import Reports, Submissions
from connector.simulator.values import Clock
from connector.simulator.world import KEEP, Late, World, wall_clock


class Simulator:
    """A simulated investigate API: messages, behaviour, and a ledger of what exists and what was sent.

    Args:
        seed: determines everything random.
        backlog: messages that exist when it starts.
        span: time before the start over which they are distributed.
        rate: messages per second that arrive after the start.
        late: delay until a search finds a message; a number is the share of late messages.
        changes: how messages change over time; a number is the share of changing messages.
        behaviour: the switches.
        access: accepted credentials and accounts; any by default.
        clock: the server's clock.
        recipe: share of hostile and odd messages.
        keep: most messages kept (at least *backlog*); the oldest are dropped first.
        subsecond: whether ``scanned_at`` has fractions of a second.
        reports: how users report messages; a number is the share of reported messages.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        backlog: int = 0,
        span: timedelta = timedelta(days=1),
        rate: float = 0.0,
        late: Late | float = 0.0,
        changes: Changes | float = 0.0,
        behaviour: Behaviour | None = None,
        access: Access | None = None,
        clock: Clock = wall_clock,
        recipe: Recipe | None = None,
        keep: int = KEEP,
        subsecond: bool = False,
        reports: Reports | float = 0.0,
    ) -> None:
        self._behaviour = behaviour or Behaviour()
        self._access = access or Access()
        self.world = World(
            Corpus(seed, recipe),
            clock,
            backlog,
            span,
            rate,
            late if isinstance(late, Late) else Late(share=late),
            changes if isinstance(changes, Changes) else Changes(share=changes),
            keep,
            subsecond=subsecond,
        )
        reporting = reports if isinstance(reports, Reports) else Reports(share=reports)
        self.submissions = Submissions(self.world, seed, reporting)
        self.audit_logs = AuditLogs(self.world, seed)
        self.blocked_senders = BlockedSenders(seed)
        self.ledger = Ledger(self.world, self._behaviour)
        self.app: Starlette = build(
            RequestHandler(
                self.world,
                self.ledger,
                self._behaviour,
                self._access,
                Api(self.world, seed, self.submissions, self.blocked_senders, self.audit_logs),
                seed,
            )
        )

    @property
    def behaviour(self) -> Behaviour:
        """The switches. Set its attributes; the object itself is fixed."""
        return self._behaviour

    @property
    def access(self) -> Access:
        """Accepted credentials. Set its attributes; the object itself is fixed."""
        return self._access
