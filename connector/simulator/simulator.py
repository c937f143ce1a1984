"""The whole simulator behind one name."""

from __future__ import annotations

from datetime import timedelta

from starlette.applications import Starlette

from connector.simulator.access import Access
from connector.simulator.app import RequestHandler, build
from connector.simulator.behaviour import Behaviour
from connector.simulator.changes import Changes
from connector.simulator.ledger import Ledger
from connector.simulator.mail.composition import Recipe
from connector.simulator.mail.corpus import Corpus
from connector.simulator.values import Clock
from connector.simulator.world import KEEP, Late, World, wall_clock


class Simulator:
    """An emulator of the investigate API: its mail, its manners, and the truth about both.

    Args:
        seed: decides everything that looks like chance.
        backlog: messages that exist when it starts.
        span: time before the start over which they are spread.
        rate: messages that arrive per second from then on.
        late: how long it takes until messages are found; a number is the share of late ones.
        changes: how messages change by themselves; a number is the share of changing ones.
        behaviour: the switches.
        access: whose credentials and which accounts are accepted; anybody's by default.
        clock: the server's clock.
        recipe: how mean the mail is.
        keep: the most messages kept (never less than *backlog*); the oldest are forgotten first.
        subsecond: whether times of scanning have fractions of a second.
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
        self.ledger = Ledger(self.world, self._behaviour)
        self.app: Starlette = build(
            RequestHandler(self.world, self.ledger, self._behaviour, self._access, seed)
        )

    @property
    def behaviour(self) -> Behaviour:
        """The switches; set its attributes, it cannot be replaced."""
        return self._behaviour

    @property
    def access(self) -> Access:
        """Who may ask; set its attributes, it cannot be replaced."""
        return self._access
