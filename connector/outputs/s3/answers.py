"""What an answer of the store means for delivery.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.interfaces import Clock
from connector.net.backoff import parse_retry_after
from connector.net.transport import Response
from connector.outputs.shared.answer_text import excerpt

CREDENTIALS_ENDED = frozenset({
    "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired",
})  # fmt: skip
"""Codes that temporary keys get when they end; new ones will work."""

_HOLDS = {
    "AccessDenied": "the credentials lack the permission s3:PutObject there, or a bucket policy denies it",
    "AccountProblem": "the account of the bucket has a problem",
    "AllAccessDisabled": "access to the bucket is disabled",
    "AuthorizationHeaderMalformed": "region is not that of the bucket",
    "IllegalLocationConstraintException": "region is not that of the bucket",
    "InvalidAccessKeyId": "the store does not know the access key",
    "InvalidBucketName": "bucket is not a valid name",
    "InvalidToken": "the session token does not belong to the access key",
    "KMS.DisabledException": "the KMS key is disabled",
    "KMS.NotFoundException": "there is no such KMS key: check kms_key_id",
    "MissingSecurityHeader": "the store requires a header that is not sent",
    "MovedPermanently": "region is not that of the bucket",
    "NoSuchBucket": "there is no such bucket: create it, or correct bucket",
    "NotSignedUp": "the account is not signed up for the service",
    "PermanentRedirect": "region is not that of the bucket",
    "RequestTimeTooSkewed": "the clock of this host is wrong by more than 15 minutes: set it (NTP)",
    "SignatureDoesNotMatch": "the secret does not belong to the access key, or a proxy changes requests",
    "TemporaryRedirect": "the bucket is being created: try later, or correct region",
}
_RETRIES = frozenset({
    "BadDigest", "IncompleteBody", "InternalError", "OperationAborted", "ConditionalRequestConflict",
    "RequestTimeout", "ServiceUnavailable", "XAmzContentSHA256Mismatch",
})  # fmt: skip
_SLOWER = frozenset(
    {"SlowDown", "TooManyRequests", "RequestLimitExceeded", "Throttling", "ThrottlingException"}
)
_TRY_AGAIN = frozenset({408, 409, 425, 500, *range(502, 600)})
_TOO_LARGE = frozenset({"EntityTooLarge", "MaxMessageLengthExceeded"})


def code_of(answer: Response) -> str:
    """The error code; empty where the body has none."""
    found = re.search(rb"<Code>([A-Za-z0-9.]{1,80})</Code>", answer.body[:16384])
    return found[1].decode() if found else ""


def error_of(answer: Response, where: str, secrets: Iterable[str], clock: Clock) -> DeliveryError:
    """The error that *answer* means, which is no success; *where* names store and bucket."""
    status, code = answer.status, code_of(answer)
    reason = f"{where} answered {status}" + (f" {code}" if code else "") + _message(answer, secrets)
    after = parse_retry_after(answer.headers.get("retry-after"), clock())
    if code in _SLOWER or status == 429:  # noqa: PLR2004
        return Retryable(reason, after, busy=True)
    if code in _TOO_LARGE or status == 413:  # noqa: PLR2004
        return Refused(reason, too_large=True)
    again = status in _TRY_AGAIN and code not in _HOLDS and code != "NotImplemented"
    if code in _RETRIES or again:
        return Retryable(reason, after)
    # The store does not look into an object: whatever it refuses is the request, not an event.
    return Hold(f"{reason}; {_advice(answer, code)}")


def _advice(answer: Response, code: str) -> str:
    region = answer.headers.get("x-amz-bucket-region", "") or _region(answer.body)
    found = f" (the bucket is in {region})" if region else ""
    if code == "NotImplemented" or answer.status == 501:  # noqa: PLR2004
        return "if the store does not know If-None-Match, set if_none_match: false"
    if answer.ok and not code:
        return "this is no answer of a store: check endpoint and proxies"
    if code in _HOLDS:
        return _HOLDS[code] + (found if "region" in _HOLDS[code] else "")
    if 300 <= answer.status < 400:  # noqa: PLR2004
        return f"region is not that of the bucket{found}, or endpoint is wrong"
    return "check bucket, region, endpoint and auth"


def _message(answer: Response, secrets: Iterable[str]) -> str:
    found = re.search(rb"<Message>([^<]{1,2000})</Message>", answer.body[:16384])
    text = html.unescape(found[1].decode("utf-8", "replace")).encode() if found else answer.body
    said = excerpt(text, secrets)
    return f": {said}" if said else ""


def _region(body: bytes) -> str:
    found = re.search(rb"<Region>([a-z0-9-]{1,40})</Region>", body[:16384])
    return found[1].decode() if found else ""
