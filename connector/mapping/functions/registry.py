"""The registry of mapping functions: what each is called, takes and returns, one row each.

``docs/mapping.md`` shows the same table; a test holds both together. A new function is one row here,
one row there, and its code in ``texts``, ``scalars``, ``lists``, ``dates`` or ``addresses``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from connector.mapping.functions import addresses, dates, lists, scalars, texts
from connector.mapping.functions.ip_addresses import is_canonical_ip
from connector.mapping.functions.texts import OnText
from connector.mapping.functions.values import ValueFunction
from connector.mapping.schemas.fields import VERDICTS
from connector.values import dataclass

ArgumentKind: TypeAlias = Literal["nothing", "length", "text", "path", "table", "match", "rules"]
ReturnKind: TypeAlias = Literal[
    "any", "same", "text", "date", "integer", "number", "boolean", "ip", "address", "object"
]  # fmt: skip
MayLose: TypeAlias = Literal["never", "unless text", "always"]
Shape: TypeAlias = Literal["same", "one", "many", "any"]
Always: TypeAlias = Literal["never", "for text", "for any value"]


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Args:
        summary: what it does, in a few words.
        code: its code, or what makes it of its argument; ``None`` for those that run a match or rules on
            each element.
        takes_list: takes a whole list; otherwise it works element by element.
        argument_kind: what its argument is.
        returns: the kind of value that comes out.
        shape: whether one value or a list comes out.
        may_lose: when it may report a value as lost; most only do for a value that is no text.
        text: a faster variant for a value that is text, or what makes it of the argument.
        inline: that variant as a Python expression of a text and the argument, both as written in code.
        always: for which values the result is always present.
        unchanged: whether a text comes out as it is.
    """

    summary: str
    code: Callable[..., Any] | None
    takes_list: bool = False
    argument_kind: ArgumentKind = "nothing"
    returns: ReturnKind = "text"
    shape: Shape = "same"
    may_lose: MayLose = "unless text"
    text: Callable[..., Any] | None = None
    inline: Callable[[str, str], str] | None = None
    always: Always = "never"
    unchanged: Callable[[str], object] | None = None

    def apply(self, argument: object) -> ValueFunction:
        """The function with *argument* filled in."""
        if self.code is None:
            raise TypeError("this function runs a match or rules; the back ends know how")
        function: ValueFunction = self.code if self.argument_kind == "nothing" else self.code(argument)
        return function

    def short(self, argument: object) -> OnText | None:
        """The short way for text with *argument* filled in, where there is one."""
        function: OnText | None = (
            self.text if self.text is None or self.argument_kind == "nothing" else self.text(argument)
        )
        return function


def _on_text(summary: str, function: OnText, inline: str = "", *, always: Always = "never") -> Function:
    written = (lambda value, _: inline.format(value)) if inline else None
    return Function(summary, scalars.on_text(function), text=function, inline=written, always=always)


def _with_text(summary: str, maker: Callable[[str], OnText], inline: str) -> Function:
    return Function(
        summary,
        lambda fixed: scalars.on_text(maker(fixed)),
        argument_kind="text",
        text=maker,
        inline=inline.format,
        always="for text",
    )


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "text": Function(
            "written out as text",
            scalars.as_text,
            text=str,
            inline=lambda value, _: value,
            always="for text",
            may_lose="never",
        ),
        "lower": _on_text("in lower case", str.lower, "{}.lower()", always="for text"),
        "upper": _on_text("in upper case", str.upper, "{}.upper()", always="for text"),
        "strip": _on_text("without blanks around it", texts.strip, "{}.strip() or None"),
        "strip_tags": _on_text(
            "without markup such as <b>", texts.strip_tags, "{0} if '<' not in {0} else strip_tags({0})"
        ),
        "strip_brackets": _on_text("without the angle brackets around it", texts.strip_brackets),
        "truncate": Function(
            "the first N characters", scalars.truncate, argument_kind="length", may_lose="always"
        ),
        "prefix": _with_text("a fixed text before it", texts.prefix, "{1} + {0}"),
        "suffix": _with_text("a fixed text after it", texts.suffix, "{0} + {1}"),
        "quoted": _on_text("in double quotes, as mail headers write names", addresses.quoted),
        "extension": _on_text("the extension of a file name", texts.extension),
        "domain": _on_text("what follows the last @", texts.domain, "domain({})"),
        "verdict": Function(
            "a verdict in capitals; one that is not documented is noted",
            scalars.verdict,
            may_lose="always",
            unchanged=VERDICTS.__contains__,
        ),
        "integer": Function("a whole number, rounded", scalars.integer, returns="integer", may_lose="always"),
        "number": Function("a number", scalars.number, returns="number", may_lose="always"),
        "boolean": Function("true or false", scalars.boolean, returns="boolean", may_lose="always"),
        "date": Function("a date, in UTC with milliseconds", dates.date, returns="date", may_lose="always"),
        "epoch_ms": Function("milliseconds since 1970", dates.epoch_ms, returns="integer", may_lose="always"),
        "epoch_s": Function("seconds since 1970", dates.epoch_s, returns="number", may_lose="always"),
        "ip": Function(
            "an IP address in canonical form",
            scalars.ip,
            returns="ip",
            may_lose="always",
            unchanged=is_canonical_ip,
        ),
        "ipv4": Function("an IPv4 address in canonical form", scalars.ipv4, returns="ip", may_lose="always"),
        "ipv6": Function("an IPv6 address in canonical form", scalars.ipv6, returns="ip", may_lose="always"),
        "table": Function(
            "what a table holds for it",
            scalars.table,
            argument_kind="table",
            returns="any",
            shape="any",
            may_lose="never",
        ),
        "addresses": Function(
            "all email addresses in it",
            addresses.addresses,
            takes_list=True,
            returns="address",
            shape="many",
            may_lose="always",
            unchanged=addresses.is_bare_address,
        ),
        "mailbox": Function(
            "the address, if it is of ASCII letters and its domain has a dot",
            addresses.mailbox,
            may_lose="always",
        ),
        "unique": Function(
            "each value once",
            lists.unique,
            takes_list=True,
            returns="same",
            may_lose="never",
            always="for any value",
        ),
        "first": Function(
            "the first element",
            lists.first,
            takes_list=True,
            returns="same",
            shape="one",
            may_lose="never",
            always="for text",
        ),
        "last": Function(
            "the last element",
            lists.last,
            takes_list=True,
            returns="same",
            shape="one",
            may_lose="never",
            always="for text",
        ),
        "count": Function(
            "how many elements",
            lists.count,
            takes_list=True,
            returns="integer",
            shape="one",
            may_lose="never",
            always="for any value",
        ),
        "max": Function(
            "the largest number",
            lists.largest,
            takes_list=True,
            returns="number",
            shape="one",
            may_lose="always",
        ),
        "min": Function(
            "the smallest number",
            lists.smallest,
            takes_list=True,
            returns="number",
            shape="one",
            may_lose="always",
        ),
        "max_by": Function(
            "the element whose number at a path is largest",
            lists.largest_by,
            takes_list=True,
            argument_kind="path",
            returns="same",
            shape="one",
            may_lose="never",
        ),
        "join": Function(
            "one text, with a separator between the elements",
            lists.join,
            takes_list=True,
            argument_kind="text",
            shape="one",
            may_lose="never",
            always="for text",
        ),
        "pick": Function(
            "the first element that matches",
            None,
            takes_list=True,
            argument_kind="match",
            returns="same",
            shape="one",
            may_lose="never",
        ),
        "only": Function(
            "the elements that match",
            None,
            takes_list=True,
            argument_kind="match",
            returns="same",
            shape="many",
            may_lose="never",
        ),
        "each": Function(
            "an object made of each element",
            None,
            takes_list=True,
            argument_kind="rules",
            returns="object",
            shape="many",
            may_lose="never",
        ),
    }
)
"""Functions by their name in ``as``."""
