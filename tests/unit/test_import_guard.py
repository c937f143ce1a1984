import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from connector.import_guard import absent


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


def test_help_of_the_program_loads_no_library_but_click() -> None:
    loaded = loaded_by_command("--help")

    assert "click" in loaded
    assert not loaded & {*HEAVY, "asyncio", "orjson", "yaml"}


@pytest.mark.parametrize(
    "arguments",
    [["status", "--help"], ["run", "--help"], ["deadletters", "list", "--help"], ["state", "--help"]],
)
def test_help_of_a_command_does_not_load_what_the_command_would_use(arguments: list[str]) -> None:
    assert not loaded_by_command(*arguments) & (HEAVY - {"pydantic", "pydantic_core"})


def test_status_loads_neither_models_nor_servers(tmp_path: Path) -> None:
    """Probes of containers call it every few seconds."""
    config = tmp_path / "connector.yaml"
    config.write_text(f"state: {{directory: {tmp_path}}}")

    assert not loaded_by_command("status", "--state", str(tmp_path)) & {*HEAVY, "yaml"}
    assert not loaded_by_command("status", "-c", str(config)) & HEAVY


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
    assert not loaded & {
        "apscheduler", "pygments", "rich", "connector.outputs.elasticsearch", "connector.outputs.file",
        "connector.outputs.syslog", "connector.outputs.otlp", "connector.formats.otlp", "connector.simulator",
    }  # fmt: skip


def test_the_daemon_runs_without_a_library_for_drawing() -> None:
    """It needs none, and six megabytes of every container would go to it."""
    program = "import sys, connector.app.daemon; print({'rich', 'pygments'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
