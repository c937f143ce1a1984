"""A simulator of the Cloudflare Email Security investigate API, for tests and demos.

It shares no code with the connector, so it cannot share its mistakes. ``Simulator`` is the entry point;
``running`` serves one from a thread, ``serve`` and ``listening`` inside an event loop. ``docs/simulator.md``
lists every switch and every fault.
"""

from connector.simulator.access import Access
from connector.simulator.audit_logs import AuditLogs
from connector.simulator.behaviour import Behaviour
from connector.simulator.blocked_senders import BlockedSenders
from connector.simulator.changes import CHANGES, Changes
from connector.simulator.exchange import Effect
from connector.simulator.fault_script import parse_directives
from connector.simulator.faults import KINDS, Fault, Faults
from connector.simulator.ledger import Issued, Ledger, RecordState, ServedRequest, ServedWrite
from connector.simulator.mail.composition import Recipe
from connector.simulator.mail.corpus import Corpus
from connector.simulator.quota import Quota
from connector.simulator.server import listening, running, serve
from connector.simulator.simulator import Simulator
from connector.simulator.submissions import Reports, Submissions
from connector.simulator.world import KEEP, Late, World

__all__ = [
    "CHANGES",
    "KEEP",
    "KINDS",
    "Access",
    "AuditLogs",
    "Behaviour",
    "BlockedSenders",
    "Changes",
    "Corpus",
    "Effect",
    "Fault",
    "Faults",
    "Issued",
    "Late",
    "Ledger",
    "Quota",
    "Recipe",
    "RecordState",
    "Reports",
    "ServedRequest",
    "ServedWrite",
    "Simulator",
    "Submissions",
    "World",
    "listening",
    "parse_directives",
    "running",
    "serve",
]
