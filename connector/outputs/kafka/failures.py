"""What errors of brokers and of the Kafka client mean: for one event, for the request, for an operator."""

from __future__ import annotations

from aiokafka import errors

from connector.errors import DeliveryError, Hold, Retryable


class InvalidRecordError(errors.BrokerResponseError):  # type: ignore[misc] # the library has no types
    """Error code INVALID_RECORD, which the client does not know.

    https://kafka.apache.org/protocol#protocol_error_codes
    """

    errno = 87
    message = "INVALID_RECORD"


# Without it the client reports UnknownError, which a broker in trouble causes, too.
errors.kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)

TOO_LARGE: tuple[type[Exception], ...] = (
    errors.MessageSizeTooLargeError,
    errors.RecordTooLargeError,
    errors.RecordListTooLargeError,
)

OF_THE_EVENT: tuple[type[Exception], ...] = (
    *TOO_LARGE,
    InvalidRecordError,
    errors.InvalidTimestampError,
    errors.PolicyViolationError,
)
"""A broker refuses the batch of a partition because of what is in it, and does not say which record."""

_OPERATOR: dict[type[Exception], str] = {
    errors.UnknownTopicOrPartitionError: "the topic does not exist, or the user may not see it: create it or "
    "grant Describe and Write; the connector creates none",
    errors.InvalidTopicError: "this is no valid name of a topic: correct `topic`",
    errors.TopicAuthorizationFailedError: "the user may not write to the topic: grant Describe and Write",
    errors.ClusterAuthorizationFailedError: "the user may not use an idempotent producer: grant "
    "IdempotentWrite on the cluster (brokers before 2.8)",
    errors.SaslAuthenticationFailed: "the broker does not accept the credentials: check `sasl`",
    errors.AuthenticationFailedError: "the broker does not accept the credentials: check `sasl`",
    errors.UnsupportedSaslMechanismError: "the broker does not offer this SASL mechanism: check `sasl`",
    errors.IllegalSaslStateError: "this listener does not take SASL: remove `sasl` or use another port",
    errors.UnsupportedVersionError: "the broker is too old: Kafka 0.11 or newer is required",
    errors.IncompatibleBrokerVersion: "the broker is too old: Kafka 0.11 or newer is required",
    errors.InvalidRequiredAcksError: "the broker does not take acks=all: check its configuration",
    errors.UnsupportedForMessageFormatError: "the topic's message format is too old for an idempotent "
    "producer: set it to 0.11 or newer",
}

_LATER: dict[type[Exception], str] = {
    errors.NotEnoughReplicasError: "fewer replicas are in sync than min.insync.replicas",
    errors.NotEnoughReplicasAfterAppendError: "fewer replicas are in sync than min.insync.replicas",
    errors.LeaderNotAvailableError: "the partition has no leader",
    errors.NotLeaderForPartitionError: "the partition's leader moved",
    errors.RequestTimedOutError: "the broker did not answer in time",
    errors.KafkaTimeoutError: "the broker did not answer in time",
    errors.KafkaStorageError: "the broker's disk failed",
}


def words(error: BaseException) -> str:
    """The error in words; nothing that a broker said, which may quote records or credentials."""
    known = next((text for kind, text in (_OPERATOR | _LATER).items() if type(error) is kind), None)
    if known:
        return known
    name = type(error).__name__.removesuffix("Error").removesuffix("Exception")
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def delivery_error(where: str, error: BaseException) -> DeliveryError:
    """The error for the whole request: a hold where only an operator can help; anything else is retried."""
    reason = f"{where}: {words(error)}"
    return Hold(reason) if isinstance(error, tuple(_OPERATOR)) else Retryable(reason)
