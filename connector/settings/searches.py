"""Settings of one search: filters, schedule, revisits, audits and enrichment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from connector.collect.revisions import WATCHED
from connector.model import FilterValue, JsonObject, SearchSource
from connector.quantities import format_duration, parse_duration
from connector.quantity_fields import Duration
from connector.settings.cron import check_cron
from connector.settings.problems import invalid
from connector.source import submissions
from connector.source.catalog import FILTER_TABLES
from connector.source.enrichment import Endpoint
from connector.source.filters import Filter
from connector.yaml_nodes import suggestion


def _validate(value: object, info: ValidationInfo) -> object:
    source = info.data.get("source")
    if source is None:
        return {}  # it is invalid itself, so what its filters are is not known
    if not isinstance(value, dict):
        raise invalid("expected a mapping of filters", hint=f"such as {_EXAMPLES[source]}")
    checked: dict[str, FilterValue] = {}
    errors: list[InitErrorDetails] = []
    for name, one in value.items():
        try:
            checked[name] = _one(source, str(name), one)
        except ValueError as error:
            custom = (
                error if isinstance(error, PydanticCustomError) else invalid(str(error), quotes_value=True)
            )
            errors.append(InitErrorDetails(type=custom, loc=(str(name),), input=None))
    if errors:
        raise ValidationError.from_exception_data("filters", errors, hide_input=True)
    return checked


_EXAMPLES = {
    SearchSource.INVESTIGATE: "detections_only: true",
    SearchSource.SUBMISSIONS: "type: USER",
    SearchSource.AUDIT_LOGS: "resource_product: email_security",
}


def _one(source: SearchSource, name: str, value: object) -> FilterValue:
    table = FILTER_TABLES[source]
    if name not in table.filters and name not in table.not_filters:
        others = [other for other in SearchSource if name in FILTER_TABLES[other].filters]
        if others:
            raise invalid(
                f"unknown filter: with source: {source} there is none of this name, only with "
                + " and ".join(f"source: {other}" for other in others),
                hint=f"remove it; known: {', '.join(table.filters)}",
            )
        raise invalid("unknown filter", hint=suggestion(name, table.filters))
    if value is None:
        raise invalid("expected a value", hint="omit the filter to match everything")
    return table.validate(name, value)


def _schema(row: Filter) -> JsonObject:
    choice: JsonObject = {"type": "string", "enum": list(row.allowed)}
    text: JsonObject = {"type": "string"}
    kinds: dict[str, JsonObject] = {
        "boolean": {"type": "boolean"},
        "texts": {"anyOf": [text, {"type": "array", "items": text, "minItems": 1}]},
        "choice": choice,
        "choices": {"anyOf": [choice, {"type": "array", "items": choice, "minItems": 1}]},
    }
    return {**kinds.get(row.kind, text), "description": row.help}


def filter_schema(*sources: SearchSource) -> JsonObject:
    """The filters of searches with one of these *sources*; of all without any."""
    tables = [FILTER_TABLES[source] for source in sources or SearchSource]
    rows = {name: _schema(row) for table in reversed(tables) for name, row in table.filters.items()}
    return {"type": "object", "properties": rows, "additionalProperties": False}


Filters = Annotated[dict[str, FilterValue], BeforeValidator(_validate), WithJsonSchema(filter_schema())]
"""A field of a settings model: filters by name. What there is depends on the field ``source`` before it."""


AGES = (
    timedelta(minutes=5),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=24),
    timedelta(days=7),
)
_EVERY = timedelta(seconds=60)
"""Default interval: one request a minute is 5 of the 600 that the default budget has per five minutes."""

_OLDEST_AGE = timedelta(days=365)
"""As far back as an audit may read."""
_DAY = timedelta(days=1)
_START = "expected a duration back from now such as 24h, or a date such as 2026-01-31 or 2026-01-31T12:00:00Z"


_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""No record is older; a time before it is a typing error."""


def _start(value: object) -> timedelta | datetime:
    start = _parse_start(value)
    now = datetime.now(UTC)
    try:
        moment = now - start if isinstance(start, timedelta) else start
    except OverflowError:
        moment = datetime.min.replace(tzinfo=UTC)
    if moment > now:
        raise invalid("the start is in the future", hint="use a date in the past, or a duration such as 24h")
    if moment < _EARLIEST:
        raise invalid(
            f"the start is before {_EARLIEST:%Y-%m-%d}", hint="use a later date, or a shorter duration"
        )
    return start


def _parse_start(value: object) -> timedelta | datetime:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, datetime):
        return _zoned(value)
    if not isinstance(value, str):
        raise invalid(_START)
    try:
        return parse_duration(value)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise invalid(_START) from None
    # A date alone starts at midnight UTC; a time of day without a zone would be ambiguous.
    return moment.replace(tzinfo=UTC) if len(value) <= len("2026-01-31") else _zoned(moment)


def _zoned(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise invalid("the time has no time zone", hint="append Z for UTC, or an offset such as +02:00")
    return moment.astimezone(UTC)


def _write_start(value: timedelta | datetime) -> str:
    return (
        format_duration(value) if isinstance(value, timedelta) else value.isoformat().replace("+00:00", "Z")
    )


def _cron(text: str) -> str:
    try:
        check_cron(text)
    except ValueError as error:
        raise invalid(str(error)) from None
    return " ".join(text.lower().split())


def _whole_seconds(value: timedelta) -> timedelta:
    if value.microseconds:
        raise invalid("expected whole seconds", hint="the API's resolution is one second")
    return value


def _ages(ages: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    if any(age <= timedelta(0) for age in ages):
        raise invalid("each age must be greater than 0s", hint="write [] for no revisits")
    if any(age > _OLDEST_AGE for age in ages):
        raise invalid(
            f"each age must be {format_duration(_OLDEST_AGE)} or less", hint="use audit to reread more"
        )
    if any(later <= earlier for earlier, later in pairwise(ages)):
        raise invalid("ages must increase, without duplicates", hint="such as [5m, 1h, 24h]")
    return ages


def _names(names: Literal["all"] | tuple[str, ...]) -> Literal["all"] | tuple[str, ...]:
    if names == "all":
        return names
    if not names:
        raise invalid("the list is empty", hint="write all, or remove the key")
    if len(set(names)) < len(names):
        raise invalid("an account is listed twice")
    return names


def _fields(names: tuple[str, ...]) -> tuple[str, ...]:
    if not all(names) or len(set(names)) < len(names):
        raise invalid("expected record field names, without duplicates", hint="such as final_disposition")
    return names


Start = Annotated[
    timedelta | datetime,
    BeforeValidator(_start),
    PlainSerializer(_write_start, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["24h", "2026-01-31", "2026-01-31T12:00:00Z"]}),
]
Seconds = Annotated[Duration, AfterValidator(_whole_seconds)]


def _endpoints(names: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    if not names or len(set(names)) < len(names):
        raise invalid(
            "expected endpoint names, without duplicates", hint="remove enrich to disable enrichment"
        )
    return names


class Enrich(BaseModel):
    """Additional endpoints to query per record, and for which records."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    endpoints: Annotated[tuple[Endpoint, ...], AfterValidator(_endpoints)] = Field(
        default=("detections",),
        description="Endpoints to query for each new or changed record, one request each.",
    )
    when: JsonObject | None = Field(
        default=None, description="Query only for records that match; default: all."
    )


class Audit(BaseModel):
    """How often everything is reread, and how far back."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    every: Seconds = Field(
        default=_DAY,
        ge=timedelta(minutes=5),
        le=timedelta(days=30),
        description="Time between audits. Each one rereads everything within reach.",
    )
    reach: Seconds = Field(
        default=timedelta(days=30),
        ge=timedelta(minutes=10),
        le=timedelta(days=365),
        description="How far back an audit reads. Seen records are remembered for as long.",
    )


_BY_SOURCE: Mapping[SearchSource, Mapping[str, object]] = {
    SearchSource.INVESTIGATE: {},
    SearchSource.SUBMISSIONS: {"watch": submissions.WATCHED},
    # Entries never change, so only those that appear late need a second look.
    SearchSource.AUDIT_LOGS: {"watch": (), "revisit": (), "overlap": timedelta(minutes=10)},
}
"""Defaults that depend on the source."""


class Search(BaseModel):
    """What to query, and when."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    source: SearchSource = Field(
        default=SearchSource.INVESTIGATE,
        description="What to read: investigate (messages), submissions (what users and analysts submitted "
        "for review) or audit_logs (who changed what in the account). Filters and the defaults of watch, "
        "revisit and overlap depend on it.",
    )

    accounts: Annotated[Literal["all"] | tuple[str, ...], AfterValidator(_names)] = Field(
        default="all", description="Accounts to search, by name, or all."
    )
    every: Duration | None = Field(
        default=_EVERY,
        ge=timedelta(seconds=1),
        le=_DAY,
        description="Time between polls. Mutually exclusive with cron.",
    )
    cron: Annotated[str, AfterValidator(_cron)] | None = Field(
        default=None,
        description="Poll at fixed times instead, in UTC: minute, hour, day of the month, month, day of the "
        "week (mon to sun).",
    )
    filters: Filters = Field(
        default={},
        validate_default=True,
        description="Parameters of the API's search, by name; see Filters below.",
    )
    settle: Seconds = Field(
        default=timedelta(0),
        ge=timedelta(0),
        le=_DAY,
        description="How far polling stays behind the present, for records that appear late.",
    )
    overlap: Seconds = Field(
        default=timedelta(minutes=2),
        ge=timedelta(0),
        le=_DAY,
        description="How much of the previous window each poll rereads.",
    )
    revisit: Annotated[tuple[Seconds, ...], AfterValidator(_ages)] = Field(
        default=AGES,
        description="Ages at which a window is reread to find late and changed records.",
    )
    audit: Audit | None = Field(
        default=None,
        description="Periodic full reread as a safety net; null disables it.",
    )
    start: Start = Field(
        default=timedelta(hours=24),
        description="Where a new search begins: a duration back from now, or a date. A search that was "
        "removed from the configuration and is added again starts no earlier.",
    )
    watch: Annotated[tuple[str, ...], AfterValidator(_fields)] = Field(
        default=WATCHED, description="Top-level record fields whose change creates a new revision."
    )
    per_page: int = Field(default=1000, ge=1, le=1000, description="Records per request.")
    enrich: Enrich | None = Field(
        default=None, description="Enrichment from further endpoints; null disables it."
    )

    @model_validator(mode="before")
    @classmethod
    def _cron_replaces_every(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("cron") is not None and "every" not in data:
            return {**data, "every": None}
        return data

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_source(cls, data: object) -> object:
        source = data.get("source") if isinstance(data, dict) else None
        if isinstance(data, dict) and source in set(SearchSource):
            return {**_BY_SOURCE[SearchSource(str(source))], **data}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Search:
        if self.every is not None and self.cron is not None:
            raise invalid("every and cron are mutually exclusive", hint="keep one of them", key="cron")
        if self.every is None and self.cron is None:
            raise invalid("expected every or cron", hint="such as every: 60s", key="every")
        if self.enrich is not None and self.source is not SearchSource.INVESTIGATE:
            raise invalid(
                f"has no effect with source: {self.source}, only with source: investigate",
                hint="remove it: its endpoints know messages only",
                key="enrich",
            )
        if self.watch and self.source is SearchSource.AUDIT_LOGS:
            raise invalid(
                "has no effect with source: audit_logs", hint="remove it: entries never change", key="watch"
            )
        if self.revisit and self.revisit[0] <= self.settle:
            raise invalid("the first age must be greater than settle", key="revisit")
        if self.audit is not None and self.audit.reach <= max(self.revisit, default=self.settle):
            raise invalid(
                "reach must be greater than the oldest revisit age",
                hint="an audit covers what is older",
                key="audit",
            )
        return self
