"""``search`` on a terminal, into a pipe and into other programs, with nothing but Cloudflare's variables."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from connector.cli import main
from connector.simulator import Behaviour, Fault, Recipe, Simulator, running
from connector.simulator.mail import hostile
from tests.support.process import ACCOUNT, TOKEN, command, environment

OTHER = "f" * 32
TWO = f"""
accounts:
  prod:
    account_id: {ACCOUNT}
    api_token: "${{env:CLOUDFLARE_API_TOKEN}}"
    base_url: "${{env:CLOUDFLARE_BASE_URL}}"
  test:
    account_id: {OTHER}
    api_token: "${{env:CLOUDFLARE_API_TOKEN}}"
    base_url: "${{env:CLOUDFLARE_BASE_URL}}"
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PATIENCE = 60


@contextmanager
def served(simulator: Simulator) -> Iterator[dict[str, str]]:
    """The simulator, and the environment that leads to it: three variables and no file."""
    simulator.access.tokens = frozenset({TOKEN})
    with running(simulator) as base_url:
        yield environment(
            CLOUDFLARE_API_TOKEN=TOKEN, CLOUDFLARE_ACCOUNT_ID=ACCOUNT, CLOUDFLARE_BASE_URL=base_url
        )


Called = Callable[..., tuple[int, str, str]]


@pytest.fixture
def called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Called:
    """Run one command to its end in this process, which is quicker; exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, environ: Mapping[str, str]) -> tuple[int, str, str]:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["email-connector", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsysbinary.readouterr()
        return int(ended.value.code or 0), out.decode(), err.decode()

    return call


def on_a_terminal(*arguments: str, environ: Mapping[str, str], cwd: Path) -> str:
    """What a terminal of 160 columns gets to see."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "connector", *arguments],
        env={**environ, "TERM": "xterm-256color", "COLUMNS": "160"},
        cwd=cwd,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65_536):
            seen += part
    except OSError:  # that is how a terminal ends
        pass
    finally:
        os.close(ours)
    assert process.wait(_PATIENCE) == 0
    return seen.decode().replace("\r\n", "\n")


def lines_of(out: str) -> list[str]:
    """Lines as programs see them: a mail may hold other characters that end a line for some."""
    return out.split("\n")[:-1]


def add(simulator: Simulator, subject: str, disposition: str = "MALICIOUS", minutes: int = 5) -> str:
    """A message that was scanned some minutes ago."""
    fields = {
        "subject": subject,
        "final_disposition": disposition,
        "is_quarantined": True,
        "from": "boss@example.com",
        "to": ["clerk@corp.example"],
    }
    return simulator.world.add(fields, scanned_at=datetime.now(UTC) - timedelta(minutes=minutes))


def test_a_search_by_sender_and_disposition_prints_a_table(tmp_path: Path) -> None:
    simulator = Simulator(backlog=500)
    add(simulator, "Your invoice")
    with served(simulator) as environ:
        arguments = ("search", "--sender", "example.com", "--final-disposition", "MALICIOUS")
        code, out, err = command(*arguments, environ=environ, cwd=tmp_path)

    heading, first, *others = out.splitlines()
    assert code == 0
    assert heading.split() == ["time", "(UTC)", "disposition", "action", "sender", "recipient", "subject"]
    assert re.match(
        r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d  MALICIOUS +quarantined +boss@example.com +clerk@corp", first
    )
    assert first.endswith("Your invoice")
    assert all(" MALICIOUS " in line for line in others)
    assert "record" in err
    assert TOKEN not in out + err
    assert not list(tmp_path.iterdir())


def test_what_is_found_is_what_the_filters_mean(called: Called) -> None:
    """Each record once, from all slices of the window, for every kind of filter."""
    simulator = Simulator(backlog=2000, span=timedelta(days=3))
    asked: list[tuple[tuple[str, ...], dict[str, object]]] = [
        (("--no-detections-only",), {"detections_only": False}),
        (("--final-disposition", "spam"), {"final_disposition": "SPAM"}),
        (("--delivery-status", "quarantined"), {"delivery_status": "quarantined"}),
        (("--query", "invoice"), {"query": "invoice"}),
    ]
    for options, filters in asked:
        with served(simulator) as environ:
            arguments = ("search", "--format", "raw", "--start", "4d", *options)
            code, out, err = called(*arguments, environ=environ)

        found = [json.loads(line)["id"] for line in lines_of(out)]
        assert (code, err) == (0, "")
        assert sorted(found) == sorted(simulator.ledger.ids(filters))
        assert found


def test_several_dispositions_are_found_together(called: Called) -> None:
    simulator = Simulator(backlog=1000)
    options = ("--final-disposition", "MALICIOUS", "--final-disposition", "SPOOF")
    with served(simulator) as environ:
        code, out, _ = called("search", "--format", "ecs", *options, environ=environ)

    events = [json.loads(line) for line in lines_of(out)]
    wanted = [simulator.ledger.ids({"final_disposition": value}) for value in ("MALICIOUS", "SPOOF")]
    assert code == 0
    assert {event["event"]["id"] for event in events} == wanted[0] | wanted[1]
    assert {event["organization"]["id"] for event in events} == {ACCOUNT}


@pytest.mark.parametrize("order", ["newest", "oldest", "unordered"])
def test_a_limit_shows_the_newest_and_says_so(
    called: Called, order: Literal["newest", "oldest", "unordered"]
) -> None:
    simulator = Simulator(backlog=3000, behaviour=Behaviour(order=order))
    with served(simulator) as environ:
        limited = ("search", "--format", "raw", "--limit", "25")
        code, out, err = called(*limited, environ=environ)

    issued = simulator.ledger.issued()
    newest = sorted((issued[one].scanned_at for one in simulator.ledger.ids({})), reverse=True)
    times = [issued[json.loads(line)["id"]].scanned_at for line in lines_of(out)]
    assert code == 0
    assert times == newest[:25]
    assert "the newest 25 records; there may be more" in err


def test_the_table_ends_after_a_hundred_rows_unless_all_are_wanted(called: Called) -> None:
    simulator = Simulator(backlog=1000)
    with served(simulator) as environ:
        _, some, err = called("search", environ=environ)
        _, every, _ = called("search", "--limit", "all", environ=environ)

    assert len(some.splitlines()) == 101
    assert "--limit all" in err
    assert len(every.splitlines()) == 1 + len(simulator.ledger.ids({}))


def test_a_terminal_gets_colours_and_nothing_else_that_steers_it(tmp_path: Path) -> None:
    """Every hostile text in every place: what is left after the colours is lines of visible characters."""
    simulator = Simulator(backlog=300, recipe=Recipe(hostile=1.0))
    for minute, text in enumerate([*hostile.TEXTS, "[red]markup[/red] [link=http://x.example]y[/link]"]):
        add(simulator, text, minutes=minute)
    with served(simulator) as environ:
        shown = on_a_terminal("search", "--limit", "all", environ=environ, cwd=tmp_path)

    assert "\x1b[1;31mMALICIOUS" in shown or "\x1b[31mMALICIOUS" in shown
    lines = COLOUR.sub("", shown).split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 2 + len(simulator.ledger.ids({}))
    assert "\\x1b[2J\\x1b[31mred" in shown
    assert "invoice\\u202efdp.exe" in shown
    assert "[red]markup[/red]" in shown
    assert not re.search("[a-z]://", shown)
    assert max(_columns(line) for line in lines) <= 160


@pytest.mark.parametrize("form", ["raw", "cef"])
def test_events_on_a_terminal_are_inert_too(tmp_path: Path, form: str) -> None:
    simulator = Simulator(backlog=100, recipe=Recipe(hostile=1.0))
    add(simulator, "x\x9b31m\u202ey\x7f")
    with served(simulator) as environ:
        shown = on_a_terminal("search", "--format", form, environ=environ, cwd=tmp_path)

    for line in shown.splitlines():
        steering = [letter for letter in line if unicodedata.category(letter) in {"Cc", "Cf", "Zl", "Zp"}]
        assert steering == []
    assert len(shown.split("\n")) == 1 + len(simulator.ledger.ids({}))


def test_a_pipe_gets_no_escapes_and_events_byte_for_byte(tmp_path: Path) -> None:
    """Whatever variables demand colour."""
    simulator = Simulator()
    add(simulator, "invoice\u202efdp.exe \x1b[31mred")
    with served(simulator) as environ:
        forced = {**environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm-256color"}
        _, table, _ = command("search", environ=forced, cwd=tmp_path)
        _, event, _ = command("search", "--format", "raw", environ=forced, cwd=tmp_path)

    assert table.replace("\n", "").isprintable()
    assert json.loads(event)["subject"] == "invoice\u202efdp.exe \x1b[31mred"
    assert "\u202e" in event


def test_a_wrong_filter_is_one_clear_sentence(called: Called) -> None:
    environ = environment(CLOUDFLARE_API_TOKEN=TOKEN, CLOUDFLARE_ACCOUNT_ID=ACCOUNT)
    for options, reported in [
        (("--final-disposition", "BAD"), "expected one of MALICIOUS, SUSPICIOUS"),
        (("--final-disposition", "MALICIOUS-BEC"), "the API cannot search for it"),
        (("--smtp-helo-ip", "nowhere"), "one IP address"),
        (("--start", "soon"), "a duration back from now such as 24h"),
        (("--start", "2026-01-01T00:00:00"), "has no time zone"),
        (("--start", "1h", "--end", "2h"), "the start must be before the end"),
        (("--limit", "0"), "expected a number of records, or all"),
        (("--account", "prod"), "unknown account; known: default"),
        (("--format", "esc"), "did you mean ecs?"),
    ]:
        code, out, err = called("search", *options, environ=environ)
        assert (code, out) == (2, "")
        assert reported in err
        assert "Traceback" not in err
        assert TOKEN not in err


def test_a_filter_that_finds_nothing_is_noted(called: Called) -> None:
    with served(Simulator(backlog=50)) as environ:
        code, out, err = called("search", "--final-disposition", "NONE", environ=environ)

    assert (code, out) == (0, "")
    assert "note: final_disposition: NONE matches nothing while detections_only is true" in err
    assert "no records" in err


def test_a_refusal_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    simulator = Simulator(backlog=50)
    with served(simulator) as environ:
        simulator.access.tokens = frozenset({"another"})
        code, out, err = command("search", environ=environ, cwd=tmp_path)

    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "code 10000" in err
    assert "Cloud Email Security: Read" in err
    assert TOKEN not in err


def test_a_rate_limit_ends_the_search_at_once(called: Called) -> None:
    simulator = Simulator(backlog=50)
    simulator.behaviour.script([Fault("rate_limited", retry_after=300)])
    with served(simulator) as environ:
        code, _, err = called("search", environ=environ)

    assert code == 1
    assert "waiting 300 s" in err


def test_of_several_accounts_one_must_be_named(called: Called, tmp_path: Path) -> None:
    simulator = Simulator(backlog=50)
    with served(simulator) as environ:
        (tmp_path / "connector.yaml").write_text(TWO)
        unnamed, _, reported = called("search", environ=environ)
        code, _, _ = called("search", "--account", "test", environ=environ)

    assert unnamed == 2
    assert "add --account prod or test" in reported
    assert code == 0
    assert {OTHER in request.path for request in simulator.ledger.requests} == {True}


def test_a_clock_that_is_wrong_hides_nothing(called: Called) -> None:
    """The API's clock counts: whether the local one is ahead of it or behind."""
    for skew in (timedelta(minutes=20), timedelta(minutes=-20)):
        there = lambda skew=skew: datetime.now(UTC) + skew  # noqa: E731
        simulator = Simulator(backlog=500, span=timedelta(hours=20), clock=there)
        with served(simulator) as environ:
            code, out, err = called("search", "--format", "raw", environ=environ)

        assert (code, err) == (0, "")
        assert len(lines_of(out)) == len(simulator.ledger.ids({}))


def test_slow_and_refused_walks_are_cut_shorter(called: Called) -> None:
    simulator = Simulator(backlog=1500, behaviour=Behaviour(page_limit=20))
    simulator.behaviour.script(["pending", None, "lost_cursor", None, "repeat_cursor"])
    with served(simulator) as environ:
        arguments = ("search", "--format", "raw", "--no-detections-only", "--start", "2h")
        code, out, err = called(*arguments, environ=environ)

    now = datetime.now(UTC)
    found = [json.loads(line)["id"] for line in lines_of(out)]
    assert (code, err) == (0, "")
    assert len(found) == len(set(found))
    assert simulator.ledger.ids(None, (now - timedelta(hours=1, minutes=59), now)) <= set(found)


def test_a_reader_that_leaves_ends_the_search(tmp_path: Path) -> None:
    simulator = Simulator(backlog=20_000, span=timedelta(hours=10))
    with served(simulator) as environ:
        done = subprocess.run(
            f"{sys.executable} -m connector search --format raw --no-detections-only | head -n 3",
            shell=True,
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )

    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == b""
    assert simulator.ledger.answers[200] < 20


def test_ctrl_c_ends_the_search_without_a_traceback(tmp_path: Path) -> None:
    simulator = Simulator(backlog=50)
    simulator.behaviour.script([None, Fault("hang", seconds=60)])
    with served(simulator) as environ:
        process = subprocess.Popen(
            [sys.executable, "-m", "connector", "search", "--start", "7d"],
            env=environ,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"time")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=_PATIENCE)

    assert process.returncode == 1
    assert b"Traceback" not in err


def _columns(line: str) -> int:
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in line)
    bare = sum(unicodedata.category(letter)[0] == "M" for letter in line)
    return len(line) + wide - bare
