import asyncio
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from connector.app.control.server import serve_control
from connector.import_guard import absent
from connector.model import JsonObject


def test_a_package_is_absent_inside_the_block_and_there_after_it() -> None:
    sys.modules.pop("colorsys", None)

    with absent("colorsys"), pytest.raises(ImportError):
        import_module("colorsys")

    assert import_module("colorsys").rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_a_package_that_is_loaded_already_stays() -> None:
    loaded = import_module("colorsys")

    with absent("colorsys"):
        assert import_module("colorsys") is loaded
    assert import_module("colorsys") is loaded


def test_what_went_wrong_in_the_block_leaves_nothing_behind() -> None:
    sys.modules.pop("colorsys", None)

    with pytest.raises(ZeroDivisionError), absent("colorsys"):
        raise ZeroDivisionError
    assert "colorsys" not in sys.modules


def loaded_by(program: str, *arguments: str) -> set[str]:
    """Names of the modules that a new interpreter holds after *program*."""
    shown = f"import sys\n{program}\nprint('modules:', *sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", shown, *arguments], capture_output=True, text=True, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("modules:"), done.stderr
    return set(last.split()[1:])


def loaded_by_command(*arguments: str) -> set[str]:
    program = "from connector.cli import main\ntry: main()\nexcept SystemExit: pass"
    return loaded_by(program, *arguments)


HEAVY = {
    "apscheduler", "httpx", "prometheus_client", "pydantic", "pydantic_core", "rich", "sqlite3", "starlette",
    "structlog", "uvicorn", "connector.facts", "connector.mapping", "connector.outputs",
}  # fmt: skip


MOST_MODULES = 790
"""Modules that a daemon with one output may load: it loads 759. A library that brings many
is noticed here, on any machine."""


def test_help_of_the_program_loads_no_library_but_click() -> None:
    loaded = loaded_by_command("--help")

    assert "click" in loaded
    assert not loaded & {*HEAVY, "asyncio", "orjson", "yaml"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--help"],
        ["run", "--help"],
        ["deadletters", "list", "--help"],
        ["state", "--help"],
        ["quarantine", "list", "--help"],
        ["tap", "--help"],
        ["action", "list", "--help"],
    ],
)
def test_help_of_a_command_does_not_load_what_the_command_would_use(arguments: list[str]) -> None:
    assert not loaded_by_command(*arguments) & HEAVY


def test_status_loads_neither_models_nor_servers(tmp_path: Path) -> None:
    """Probes of containers call it every few seconds."""
    config = tmp_path / "connector.yaml"
    config.write_text(f"state: {{directory: {tmp_path}}}")

    assert not loaded_by_command("status", "--state", str(tmp_path)) & {*HEAVY, "yaml"}
    assert not loaded_by_command("status", "-c", str(config)) & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [["deadletters", "list", "--json"], ["quarantine", "list", "--json"], ["state", "show", "--json"]],
)
def test_what_the_daemon_answers_needs_no_configuration_and_no_journal(
    tmp_path: Path, arguments: list[str]
) -> None:
    config = tmp_path / "connector.yaml"
    config.write_text(f"state: {{directory: {tmp_path}}}")

    async def letters(_: JsonObject) -> object:
        return {"dead_letters": "[]", "last": None}

    async def items(_: JsonObject) -> object:
        return {"quarantined": [], "last": None}

    async def state(_: JsonObject) -> object:
        return {"feeds": [], "outputs": []}

    async def story() -> set[str]:
        async with serve_control(tmp_path, {"dead_letters": letters, "quarantined": items, "state": state}):
            return await asyncio.to_thread(loaded_by_command, *arguments, "-c", str(config))

    assert not asyncio.run(story()) & {*HEAVY, "connector.app.control.operator"}


def test_the_daemon_loads_only_what_its_configuration_needs(tmp_path: Path) -> None:
    config = tmp_path / "connector.yaml"
    config.write_text(
        "accounts: {prod: {account_id: 023e105f4ecef8ad9ca31a8372d0c353, api_token: x}}\n"
        "searches: {all: {every: 60s}}\n"
        "outputs: {siem: {type: splunk_hec, url: 'https://127.0.0.1', token: x}}\n"
    )
    program = (
        "from pathlib import Path\n"
        "from connector.app.build import build_app\n"
        "from connector.app.daemon import run_daemon\n"
        "from connector.settings import load\n"
        "from connector.app.routes import build_routes\n"
        "build_routes(load(Path(sys.argv[1]), {}), lambda fact: None, {})\n"
    )

    loaded = loaded_by(program, str(config))

    assert "connector.outputs.splunk_hec.output" in loaded

    assert len(loaded) < MOST_MODULES, len(loaded)
    assert not loaded & {
        "connector.mapping.tools.coverage",
        "connector.mapping.tools.inline_tests", "connector.mapping.tools.json_schema",
        "apscheduler", "pygments", "rich", "connector.outputs.elasticsearch", "connector.outputs.file",
        "connector.outputs.syslog", "connector.outputs.otlp", "connector.formats.otlp", "connector.simulator",
        "starlette", "statistics", "uvicorn",
    }  # fmt: skip


def test_the_daemon_runs_without_a_library_for_drawing() -> None:
    """It needs none, and six megabytes of every container would go to it."""
    program = "import sys, connector.app.daemon; print({'rich', 'pygments'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
