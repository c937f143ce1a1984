"""From what the network did to what delivery has to do."""

from __future__ import annotations

from connector.errors import ConfigurationError, DeliveryError, Hold, Retryable
from connector.net.transport import TransportError, Unsendable, Untrusted


def delivery_error(error: TransportError | ConfigurationError) -> DeliveryError:
    """A certificate or a setting needs a person; everything else may heal."""
    if isinstance(error, ConfigurationError):
        return Hold("; ".join(str(problem) for problem in error.problems))
    if isinstance(error, (Untrusted, Unsendable)):
        return Hold(error.reason)
    return Retryable(error.reason)
