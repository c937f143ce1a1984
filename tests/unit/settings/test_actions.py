"""Settings of response actions that could never do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.support import ACCOUNT, MINIMAL, read, wrong

ACTIONS = """
actions:
  callers:
    soar: {token: soar-token-0123456789, %s}
    lead: {token: lead-token-0123456789, may: [search, approve, move], accounts: [prod]}
"""
TWO_ACCOUNTS = MINIMAL.replace(
    "searches:",
    f"    write_token: write-token\n  test: {{account_id: {ACCOUNT[::-1]}, api_token: t}}\nsearches:",
)

REFUSED = {
    "may: [move], destinations: []": "must have at least 1",
    "may: [search], accounts: []": "must have at least 1",
    "may: [search], destinations: [Inbox]": "destinations: has no effect: may does not contain move",
    "may: [search], block: {never: [corp.example]}": "block: has no effect: may does not contain block",
    "may: [move], approval_for: [move]": "approval_for: has no effect: approval is none",
    "may: [move], approval: operator, approval_for: [release]": "nothing that this caller may do needs",
    "may: [release], approval: second_caller": "nobody can approve release of soar",
    "may: [move], approval: second_caller, accounts: [test]": "nobody can approve move of soar",
    "may: [search], recipients: [corp.example]": "an entry matches no address (write *@corp.example",
    "may: [search], recipients: ['@corp.example']": "an entry matches no address (write *@corp.example",
    "may: [block], block: {never: [10.0.0.0/33]}": "an entry is neither an IP address nor a network",
    "may: [block], block: {never: [10.0.0.300]}": "an entry is neither an IP address nor a network",
    "may: [block], block: {never: ['2001:db8::g']}": "an entry is neither an IP address nor a network",
    "may: [move], accounts: [test]": "actions.callers.soar: it may act, but no account of its scope has a",
}
ACCEPTED = [
    "may: [move], approval: second_caller",
    "may: [block], block: {never: [corp.example, '*.gov', 10.0.0.1/8, '2001:db8::1', a@corp.example]}",
    "may: [search], recipients: ['a@corp.example', '*.corp.example', '*']",
    "may: [block], approval: operator, approval_for: [unblock]",
]


@pytest.mark.parametrize(("caller", "problem"), REFUSED.items())
def test_a_caller_whose_settings_contradict_each_other_is_refused(
    tmp_path: Path, caller: str, problem: str
) -> None:
    (line,) = wrong(tmp_path, TWO_ACCOUNTS + ACTIONS % caller)
    assert problem in line


@pytest.mark.parametrize("caller", ACCEPTED)
def test_a_caller_that_can_act_is_accepted(tmp_path: Path, caller: str) -> None:
    assert read(tmp_path, TWO_ACCOUNTS + ACTIONS % caller).settings.actions is not None
