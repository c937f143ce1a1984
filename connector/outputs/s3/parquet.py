"""Objects for Amazon Security Lake: Parquet, one per OCSF class and day, with the columns of the class.

https://docs.aws.amazon.com/security-lake/latest/userguide/custom-sources.html

The columns come from the schema, never from a batch: a reader of two objects must find the same types.
pyarrow is an extra of 165 MB installed, imported with the first batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from connector.formats.json import encode
from connector.formats.ocsf import CLASS, OcsfAttribute, attributes
from connector.model import BatchName, Event, JsonObject
from connector.outputs.s3.objects import Objects, StoredObject, file_name

if TYPE_CHECKING:
    import pyarrow as pa

EMAIL_ACTIVITY, REMEDIATION_ACTIVITY, API_ACTIVITY, BASE_EVENT = 4009, 7001, 6003, 0
"""Classes (``class_uid``) of messages, of audit events of response actions, of audit logs, of heartbeats."""

_MEDIA_TYPE = "application/vnd.apache.parquet"
_PAGE_BYTES = 1 << 20
"""Security Lake asks for data pages of at most 1 MB before compression."""

_Type: TypeAlias = Literal["boolean", "double", "int", "json", "long", "string", "struct"]
_TYPES: Mapping[str, _Type] = {
    "any": "json", "boolean": "boolean", "email": "string", "epoch_ms": "long", "integer": "int",
    "ip": "string", "keyword": "string", "long": "long", "object": "json",
}  # fmt: skip
_RANGES: Mapping[_Type, range] = {
    "int": range(-(1 << 31), 1 << 31),
    "long": range(-(1 << 63), 1 << 63),
}

_CLASSES = frozenset({EMAIL_ACTIVITY, REMEDIATION_ACTIVITY, API_ACTIVITY, BASE_EVENT})
_EVERY_CLASS = (
    "activity_id", "activity_name", "category_name", "category_uid", "class_name", "class_uid", "count",
    "duration", "end_time", "enrichments", "message", "metadata", "observables", "raw_data", "raw_data_hash",
    "raw_data_size", "severity", "severity_id", "start_time", "status", "status_code", "status_detail",
    "status_id", "time", "timezone_offset", "type_name", "type_uid", "unmapped",
)  # fmt: skip
"""Attributes of Base Event, which every class has: https://schema.ocsf.io/1.9.0/classes/base_event."""

_MISFITS = "parquet_misfits"
"""Where ``unmapped`` keeps what has no column or does not fit its type: path in the event to value."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SOURCE = r"^[A-Za-z0-9_.-]{1,64}(/[A-Za-z0-9_.-]{1,32})?$"


class SecurityLakeSettings(BaseModel):
    """The custom sources of Amazon Security Lake, one for each OCSF class."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    source: str = Field(
        pattern=_SOURCE,
        description="Custom source of messages (class Email Activity), NAME or NAME/VERSION: what its "
        "location has after ext/.",
    )
    actions_source: str | None = Field(
        default=None,
        pattern=_SOURCE,
        description="Custom source of audit events (class Remediation Activity); required with actions.",
    )
    audit_logs_source: str | None = Field(
        default=None,
        pattern=_SOURCE,
        description="Custom source of audit logs (class API Activity); required for searches with source: "
        "audit_logs.",
    )
    heartbeat_source: str | None = Field(
        default=None,
        pattern=_SOURCE,
        description="Custom source of heartbeats (class Base Event); required with heartbeat.",
    )
    region: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]{2,40}$",
        description="Region in the keys, such as eu-central-1; by default that of the bucket.",
    )
    account: str = Field(
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Account in the keys: the AWS account id, in quotes, or the source's external id.",
    )

    @model_validator(mode="after")
    def _can_write(self) -> SecurityLakeSettings:
        names = list(self.sources().values())
        if len(set(names)) < len(names):
            raise ValueError(
                "Security Lake requires a source of its own for each class; name different sources"
            )
        if find_spec("pyarrow") is None:
            raise ValueError(
                "format: parquet requires the package pyarrow: "
                "pip install 'cloudflare-email-connector[parquet]'"
            )
        return self

    def sources(self) -> dict[int, str]:
        """The source of each class that has one."""
        named = {
            EMAIL_ACTIVITY: self.source,
            REMEDIATION_ACTIVITY: self.actions_source,
            API_ACTIVITY: self.audit_logs_source,
            BASE_EVENT: self.heartbeat_source,
        }
        return {uid: source for uid, source in named.items() if source is not None}


@dataclass(frozen=True, slots=True)
class Column:
    """A column, or a field inside one. A *struct* has *fields*; ``json`` is a string that holds any JSON."""

    type: _Type
    many: bool = False
    fields: Mapping[str, Column] | None = None


@cache
def columns(class_uid: int) -> Mapping[str, Column]:
    """The columns of a class, by name, in the order of the schema."""
    known = {name: _column(one, ()) for name, one in attributes()[CLASS].items()}
    if class_uid == EMAIL_ACTIVITY:
        return known
    made = {name: known[name] for name in _EVERY_CLASS}
    if class_uid == REMEDIATION_ACTIVITY:
        name = {"name": Column("string")}
        made["actor"] = Column("struct", fields={"user": Column("struct", fields=name)})
        made["command_uid"] = Column("string")
        made["remediation"] = Column("struct", fields={"desc": Column("string")})
    if class_uid == API_ACTIVITY:
        made |= _API_COLUMNS
    return made


def _struct(*texts: str, **others: Column) -> Column:
    return Column("struct", fields={**{name: Column("string") for name in texts}, **others})


_API_COLUMNS: Mapping[str, Column] = {
    "actor": _struct(user=_struct("name", "uid", "email_addr")),
    "api": _struct(
        "operation",
        service=_struct("name"),
        request=_struct("uid"),
        response=Column("struct", fields={"code": Column("int")}),
    ),
    "src_endpoint": _struct("ip", "name"),
    "http_request": _struct("http_method", "user_agent", url=_struct("path")),
    "resources": Column("struct", True, {"uid": Column("string"), "type": Column("string")}),
}
"""Attributes of API Activity that audit logs fill: https://schema.ocsf.io/1.9.0/classes/api_activity."""


# Objects that the schema leaves open for mappings, and that queries need as columns.
_TYPED_HERE: Mapping[str, Mapping[str, Column]] = {
    "autonomous_system": {"name": Column("string"), "number": Column("int")},
    "location": {
        **{
            name: Column("string")
            for name in ("city", "continent", "country", "desc", "isp", "postal_code", "provider", "region")
        },
        "lat": Column("double"),
        "long": Column("double"),
    },
}


def _column(attribute: OcsfAttribute, above: tuple[str, ...]) -> Column:
    inner = attribute.inner
    if inner is None or inner in above:
        return Column(_TYPES[attribute.kind], attribute.is_list)
    fields = {
        name: Column("struct", fields=_TYPED_HERE[name])
        if name in _TYPED_HERE and one.inner is None
        else _column(one, (*above, inner))
        for name, one in attributes()[inner].items()
    }
    return Column("struct", attribute.is_list, fields)


def security_lake(
    settings: SecurityLakeSettings, region: str
) -> Callable[[BatchName, Sequence[Event]], Objects]:
    """An object per class and day of the events, sorted by time; *region* is the bucket's.

    An event that is no object, of a class without a source, or that no JSON parser takes is rejected alone.
    """
    sources = settings.sources()
    place = f"region={settings.region or region}/accountId={settings.account}"

    def make(batch: BatchName, events: Sequence[Event]) -> Objects:
        parts: dict[tuple[int, str], list[tuple[int, int, JsonObject]]] = {}
        rejected: dict[int, str] = {}
        for index, event in enumerate(events):
            try:
                class_uid, time, row = _row(event)
                day = f"{_EPOCH + timedelta(milliseconds=time):%Y%m%d}"
            except (ValueError, OverflowError) as error:
                rejected[index] = str(error)
                continue
            if class_uid in sources:
                parts.setdefault((class_uid, day), []).append((time, index, row))
            else:
                rejected[index] = f"no source of security_lake takes OCSF class {class_uid}"
        objects = []
        for (class_uid, day), part in sorted(parts.items()):
            part.sort(key=lambda one: one[:2])
            key = f"ext/{sources[class_uid]}/{place}/eventDay={day}/{file_name(batch)}.zstd.parquet"
            body = _written(class_uid, [row for _, _, row in part])
            objects.append(StoredObject(key, body, _MEDIA_TYPE, tuple(index for _, index, _ in part)))
        return Objects(tuple(objects), rejected)

    return make


def _row(event: Event) -> tuple[int, int, JsonObject]:
    """Class, time in milliseconds, and columns of an event. Raises ``ValueError`` for what can be no row."""
    try:
        orjson.loads(event.payload)
        # orjson is strict, and makes floats of integers beyond 64 bits: unmapped keeps their digits.
        document = json.loads(event.payload)
    except (ValueError, RecursionError):
        raise ValueError("the event is not strict JSON") from None
    class_uid = document.get("class_uid") if isinstance(document, dict) else None
    if type(class_uid) is not int or class_uid not in _CLASSES:
        raise ValueError("the event has no class_uid that Parquet has columns for")
    # Objects are sorted and placed by time: an event without one has that of the record.
    moment = document.get("time")
    fitting = type(moment) is int and 0 <= moment < _LAST
    time = moment if fitting else (event.time - _EPOCH) // timedelta(milliseconds=1)
    misfits: JsonObject = {}
    row = _fields(columns(class_uid), document, "", misfits)
    if not fitting and moment is not None:
        misfits["time"] = moment
    row["time"] = time
    if misfits:
        unmapped = document.get("unmapped")
        kept = unmapped if isinstance(unmapped, dict) else {} if unmapped is None else {"unmapped": unmapped}
        row["unmapped"] = encode({**kept, _MISFITS: misfits}).decode()
    return class_uid, time, row


_LAST = 253_402_300_800_000
"""The first millisecond of the year 10000: no day has a name from there on."""


def _fields(
    known: Mapping[str, Column], given: Mapping[str, Any], path: str, misfits: JsonObject
) -> JsonObject:
    """*given* as the columns *known* hold it; what they cannot is in *misfits*, by its path."""
    row: JsonObject = {}
    for name, value in given.items():
        column, where = known.get(name), f"{path}{name}"
        if value is None:
            continue
        if column is None:
            misfits[where] = value
        elif not column.many:
            row[name] = _value(column, value, where, misfits)
        elif isinstance(value, list):
            fitted = (_value(column, one, f"{where}[{n}]", misfits) for n, one in enumerate(value))
            row[name] = [one for one in fitted if one is not None]
        else:
            misfits[where] = value
    return row


def _value(column: Column, value: Any, where: str, misfits: JsonObject) -> Any:
    """*value* as the column holds it; ``None``, and an entry in *misfits*, if it does not fit."""
    if column.fields is not None and isinstance(value, dict):
        return _fields(column.fields, value, f"{where}.", misfits)
    kind = column.type
    if kind == "json":
        return encode(value).decode()
    if kind in _RANGES:
        fits = type(value) is int and value in _RANGES[kind]
    elif kind == "double":
        fits = type(value) in {int, float}
    else:
        fits = isinstance(value, {"string": str, "boolean": bool}.get(kind, ()))
    if fits:
        return float(value) if kind == "double" else value
    if value is not None:
        misfits[where] = value
    return None


@cache
def arrow_schema(class_uid: int) -> pa.Schema:
    """The columns of a class for Arrow; times stay int64, milliseconds since 1970, as OCSF has them."""
    import pyarrow as pa  # noqa: PLC0415, an extra

    simple = {
        "boolean": pa.bool_(),
        "double": pa.float64(),
        "int": pa.int32(),
        "json": pa.string(),
        "long": pa.int64(),
        "string": pa.string(),
    }

    def field(name: str, column: Column) -> pa.Field:
        inner = (
            simple[column.type]
            if column.fields is None
            else pa.struct([field(*one) for one in column.fields.items()])
        )
        return pa.field(name, pa.list_(inner) if column.many else inner)

    return pa.schema([field(*one) for one in columns(class_uid).items()])


def _written(class_uid: int, rows: Sequence[JsonObject]) -> bytes:
    import pyarrow as pa  # noqa: PLC0415, an extra
    from pyarrow import parquet  # noqa: PLC0415

    table = pa.Table.from_pylist(rows, schema=arrow_schema(class_uid))
    sink = pa.BufferOutputStream()
    # Most of the 476 columns are empty: dictionaries and statistics of each would be a third of an object.
    parquet.write_table(
        table,
        sink,
        compression="zstd",
        data_page_size=_PAGE_BYTES,
        store_schema=False,
        use_dictionary=False,
        write_statistics=["time"],
    )
    body: bytes = sink.getvalue().to_pybytes()
    return body
