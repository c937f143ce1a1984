"""Everything the connector reports about its own work: one frozen value per kind of fact.

Components report facts through the injected ``observe``; ``connector.telemetry`` turns each into a log line,
metrics and status. Facts also serve as crash points: the ``observe`` of a test may end the process at any of
them. They hold no secret and no text of a message. Durations are in seconds, sizes in bytes.
"""

# A new fact is one class in one of these modules; the star imports and `kinds` find it.
from connector.facts.actions import *  # noqa: F403
from connector.facts.base import Fact as Fact
from connector.facts.base import Level as Level
from connector.facts.collection import *  # noqa: F403
from connector.facts.delivery import *  # noqa: F403
from connector.facts.journal import *  # noqa: F403
from connector.facts.operator import *  # noqa: F403
from connector.facts.process import *  # noqa: F403
from connector.facts.replicas import *  # noqa: F403
from connector.facts.source import *  # noqa: F403


def kinds() -> tuple[type[Fact], ...]:
    """Every kind of fact, by the name of its event."""
    every = {
        kind
        for kind in globals().values()
        if isinstance(kind, type) and issubclass(kind, Fact) and kind is not Fact
    }
    return tuple(sorted(every, key=lambda kind: kind.event))
