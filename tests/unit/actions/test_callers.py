"""What a caller may do: messages by their recipients, senders by the rules for blocking."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest

from connector.actions import callers
from connector.actions.action import Kind
from connector.actions.callers import (
    BlockRules,
    Caller,
    malformed_pattern,
    operator,
    refuse_account,
    refuse_action,
    refuse_block,
)
from connector.settings import actions as settings

RULES = BlockRules(never=("corp.example", "*.gov", "ceo@partner.example", "203.0.113.0/24"))


def caller(**fields: Any) -> Caller:
    return Caller("tines", frozenset({"move", "release", "block"}), **fields)


@pytest.mark.parametrize(
    ("recipients", "seen"),
    [
        (["a@corp.example"], True), (["A@CORP.EXAMPLE "], True), (["a@corp.example", "b@corp.example"], True),
        (["a@corp.example", "b@other.example"], False), ([], False), (None, False), ("a@corp.example", False),
        (["a@corp.example", 1], False), (["a@corp.example.evil.example"], False),
    ],
)  # fmt: skip
def test_every_recipient_of_a_message_must_be_in_scope(recipients: object, seen: bool) -> None:
    assert caller(recipients=("*@corp.example",)).sees({"client_recipients": recipients}) is seen
    assert caller().sees({"client_recipients": recipients})


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("DOMAIN", "corp.example"), ("DOMAIN", "CORP.example"), ("DOMAIN", "mail.corp.example"),
        ("DOMAIN", "example"), ("EMAIL", "a@corp.example"), ("EMAIL", "a@x.corp.example"),
        ("DOMAIN", "irs.gov"), ("EMAIL", "a@irs.gov"), ("EMAIL", "ceo@partner.example"),
        ("DOMAIN", "partner.example"), ("IP", "203.0.113.7"), ("IP", "203.0.0.0/16"),
        ("IP", "::ffff:203.0.113.7"), ("IP", "::ffff:203.0.113.0/120"),
    ],
)  # fmt: skip
def test_what_must_never_be_blocked_is_not_nor_what_contains_it(kind: str, pattern: str) -> None:
    why = refuse_block(RULES, {"pattern_type": kind, "pattern": pattern, "is_regex": False})

    assert "must never be blocked" in why


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("DOMAIN", "notcorp.example"), ("EMAIL", "other@partner.example"), ("DOMAIN", "gov.example"),
        ("IP", "198.51.100.7"), ("IP", "2001:db8::1"),
    ],
)  # fmt: skip
def test_everything_else_may_be_blocked(kind: str, pattern: str) -> None:
    assert refuse_block(RULES, {"pattern_type": kind, "pattern": pattern, "is_regex": False}) == ""


@pytest.mark.parametrize(
    ("rules", "asked", "why"),
    [
        (BlockRules(types=frozenset({"IP"})), {}, "blocking by DOMAIN"),
        (BlockRules(), {"is_regex": True}, "regular expressions"),
        (BlockRules(expires_max=timedelta(hours=1)), {}, "expires_in is required"),
        (BlockRules(expires_max=timedelta(hours=1)), {"expires_in": 3601}, "at most 3600 seconds"),
        (BlockRules(expires_max=timedelta(hours=1)), {"expires_in": 3600}, ""),
        (BlockRules(regex=True), {"is_regex": True}, ""),
    ],
)
def test_kinds_times_and_regular_expressions_have_limits(
    rules: BlockRules, asked: dict[str, Any], why: str
) -> None:
    asked = {"pattern_type": "DOMAIN", "pattern": "evil.example", "is_regex": False, **asked}

    told = refuse_block(rules, asked)

    assert why in told
    assert bool(told) is bool(why)


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("DOMAIN", "com"), ("DOMAIN", "a@b.example"), ("DOMAIN", ".example"), ("DOMAIN", "a..example"),
        ("DOMAIN", "*.example"), ("DOMAIN", "corp\u3002example"), ("DOMAIN", "a.corp\u3002example"),
        ("DOMAIN", "\uff43orp.example"), ("DOMAIN", "corp.example."), ("EMAIL", "ceo@\uff43orp.example"),
        ("IP", "::ffff:0:0/96"), ("IP", "::ffff:198.51.100.0/104"),
        ("IP", "::ffff:0:0/90"), ("IP", "::/64"), ("IP", "::/32"), ("IP", "fe80::1%eth0"),
        ("EMAIL", "*@corp.example"), ("EMAIL", "ce?@corp.example"), ("EMAIL", "ceo @corp.example"),
        ("EMAIL", "<ceo@corp.example"), ("EMAIL", '"ceo"@corp.example'),
        ("EMAIL", "evil.example"), ("EMAIL", "@evil.example"), ("EMAIL", "a@b@c.example"), ("IP", "x"),
        ("IP", "0.0.0.0/0"), ("IP", "::/0"), ("IP", "10.0.0.0/8"),
    ],
)  # fmt: skip
def test_a_pattern_that_blocks_too_much_or_nothing_is_malformed(kind: str, pattern: str) -> None:
    assert malformed_pattern(kind, pattern)


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("DOMAIN", "evil.example"),
        ("EMAIL", "a@evil.example"),
        ("IP", "198.51.100.7"),
        ("IP", "2001:db8::/48"),
    ],
)
def test_other_patterns_are_well_formed(kind: str, pattern: str) -> None:
    assert malformed_pattern(kind, pattern) == ""


def test_actions_destinations_and_numbers_have_limits() -> None:
    tines = caller(destinations=frozenset({"JunkEmail"}), ids_per_call=2)

    assert refuse_action(tines, Kind.MOVE, {"destination": "JunkEmail"}, 2) == ""
    assert "limit is 2" in refuse_action(tines, Kind.MOVE, {"destination": "JunkEmail"}, 3)
    assert "Inbox" in refuse_action(tines, Kind.MOVE, {"destination": "Inbox"}, 1)
    assert "submit" in refuse_action(tines, Kind.SUBMIT, {}, 1)
    assert refuse_action(tines, Kind.UNBLOCK, {}, 1) == ""


def test_an_unknown_account_and_a_foreign_one_are_refused_in_the_same_words() -> None:
    tines = caller(accounts=frozenset({"prod"}))

    assert refuse_account(tines, "prod", ["prod", "test"]) == ""
    told = [refuse_account(tines, name, ["prod", "test"]) for name in ("test", "none")]
    assert [text.replace("test", "X").replace("none", "X") for text in told] == [
        told[0].replace("test", "X")
    ] * 2


def test_an_operator_may_do_everything_without_approval() -> None:
    person = operator("alice")

    assert person.name == "operator:alice"
    assert person.needed_approval(Kind.RELEASE) == "none"
    assert refuse_action(person, Kind.MOVE, {"destination": callers.HARD_DELETE}, 1000) == ""


def test_the_configuration_has_the_same_words() -> None:
    assert get_args(settings.Permission) == get_args(callers.Permission)
    assert set(get_args(settings.Acting)) == set(Kind)
    assert get_args(settings.Approval) == get_args(callers.Approval)
