"""The closed set of functions of the mapping language: one row each.

``docs/mapping.md`` shows the same table; a test holds both together. A new function is one row here,
one row there, and its code in ``scalars``, ``lists``, ``dates`` or ``addresses``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from connector.formats.memo import Memo
from connector.mapping.functions import addresses, dates, lists, scalars, texts
from connector.mapping.functions.texts import OnText
from connector.mapping.functions.values import Applied

Takes: TypeAlias = Literal["nothing", "length", "text", "path", "table", "match", "rules"]
Gives: TypeAlias = Literal[
    "any", "same", "text", "date", "integer", "number", "boolean", "ip", "object"
]  # fmt: skip
Loses: TypeAlias = Literal["never", "unless text", "always"]
Shape: TypeAlias = Literal["same", "one", "many", "any"]
Always: TypeAlias = Literal["never", "for text", "for any value"]


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Args:
        does: what it does, in a few words.
        code: its code, or what makes it of its argument; ``None`` for those that run a match or rules on
            each element.
        whole: takes a whole list; otherwise it works element by element.
        takes: what its argument is.
        gives: the kind of value that comes out.
        shape: whether one value or a list comes out.
        loses: whether it may report a value as lost; most only do for what is no text.
        text: the short way where a value is sure to be text, or what makes it of its argument.
        inline: the short way as a Python expression of a text and the argument, both as written in code.
        always: for what it is sure to make a value.
        keeps: tells texts that come out as they are.
    """

    does: str
    code: Callable[..., Any] | None
    whole: bool = False
    takes: Takes = "nothing"
    gives: Gives = "text"
    shape: Shape = "same"
    loses: Loses = "unless text"
    text: Callable[..., Any] | None = None
    inline: Callable[[str, str], str] | None = None
    always: Always = "never"
    keeps: Memo[Any] | None = None

    def apply(self, argument: object) -> Applied:
        """The function with *argument* filled in."""
        if self.code is None:
            raise TypeError("this function runs a match or rules; the back ends know how")
        made: Applied = self.code if self.takes == "nothing" else self.code(argument)
        return made

    def short(self, argument: object) -> OnText | None:
        """The short way for text with *argument* filled in, where there is one."""
        made: OnText | None = (
            self.text if self.text is None or self.takes == "nothing" else self.text(argument)
        )
        return made


def _on_text(does: str, function: OnText, inline: str = "", *, always: Always = "never") -> Function:
    written = (lambda value, _: inline.format(value)) if inline else None
    return Function(does, scalars.textual(function), text=function, inline=written, always=always)


def _with_text(does: str, maker: Callable[[str], OnText], inline: str) -> Function:
    return Function(
        does,
        lambda fixed: scalars.textual(maker(fixed)),
        takes="text",
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
            loses="never",
        ),
        "lower": _on_text("in lower case", str.lower, "{}.lower()", always="for text"),
        "upper": _on_text("in upper case", str.upper, "{}.upper()", always="for text"),
        "strip": _on_text("without blanks around it", texts.strip, "{}.strip() or None"),
        "strip_tags": _on_text("without markup such as <b>", texts.strip_tags),
        "strip_brackets": _on_text("without the angle brackets around it", texts.strip_brackets),
        "truncate": Function("the first N characters", scalars.truncate, takes="length", loses="always"),
        "prefix": _with_text("a fixed text before it", texts.prefix, "{1} + {0}"),
        "suffix": _with_text("a fixed text after it", texts.suffix, "{0} + {1}"),
        "quoted": _on_text("in double quotes, as mail headers write names", addresses.quoted),
        "extension": _on_text("the extension of a file name", texts.extension),
        "domain": _on_text("what follows the last @", texts.domain.__getitem__, "domains[{}]"),
        "integer": Function("a whole number, rounded", scalars.integer, gives="integer", loses="always"),
        "number": Function("a number", scalars.number, gives="number", loses="always"),
        "boolean": Function("true or false", scalars.boolean, gives="boolean", loses="always"),
        "date": Function("a date, in UTC with milliseconds", dates.date, gives="date", loses="always"),
        "epoch_ms": Function("milliseconds since 1970", dates.epoch_ms, gives="integer", loses="always"),
        "epoch_s": Function("seconds since 1970", dates.epoch_s, gives="number", loses="always"),
        "ip": Function(
            "an IP address, if it is valid", scalars.ip, gives="ip", loses="always", keeps=scalars.VERSION
        ),
        "ipv4": Function("an IP address, if it is one of IPv4", scalars.ipv4, gives="ip", loses="always"),
        "ipv6": Function("an IP address, if it is one of IPv6", scalars.ipv6, gives="ip", loses="always"),
        "table": Function(
            "what a table holds for it", scalars.table, takes="table", gives="any", shape="any", loses="never"
        ),
        "addresses": Function(
            "all mail addresses in it",
            addresses.addresses,
            whole=True,
            shape="many",
            loses="always",
            keeps=addresses.BARE,
        ),
        "unique": Function(
            "each value once", lists.unique, whole=True, gives="same", loses="never", always="for any value"
        ),
        "first": Function(
            "the first element",
            lists.first,
            whole=True,
            gives="same",
            shape="one",
            loses="never",
            always="for text",
        ),
        "last": Function(
            "the last element",
            lists.last,
            whole=True,
            gives="same",
            shape="one",
            loses="never",
            always="for text",
        ),
        "count": Function(
            "how many elements",
            lists.count,
            whole=True,
            gives="integer",
            shape="one",
            loses="never",
            always="for any value",
        ),
        "max": Function(
            "the largest number", lists.largest, whole=True, gives="number", shape="one", loses="always"
        ),
        "min": Function(
            "the smallest number", lists.smallest, whole=True, gives="number", shape="one", loses="always"
        ),
        "max_by": Function(
            "the element whose number at a path is largest",
            lists.largest_by,
            whole=True,
            takes="path",
            gives="same",
            shape="one",
            loses="never",
        ),
        "join": Function(
            "one text, with a separator between the elements",
            lists.join,
            whole=True,
            takes="text",
            shape="one",
            loses="never",
            always="for text",
        ),
        "pick": Function(
            "the first element that matches",
            None,
            whole=True,
            takes="match",
            gives="same",
            shape="one",
            loses="never",
        ),
        "only": Function(
            "the elements that match",
            None,
            whole=True,
            takes="match",
            gives="same",
            shape="many",
            loses="never",
        ),
        "each": Function(
            "an object made of each element",
            None,
            whole=True,
            takes="rules",
            gives="object",
            shape="many",
            loses="never",
        ),
    }
)
"""Functions by the name that stands in ``as``."""
