import subprocess
import sys
from importlib import import_module

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


def test_the_daemon_runs_without_a_library_for_drawing() -> None:
    """It needs none, and six megabytes of every container would go to it."""
    program = "import sys, connector.app.daemon; print({'rich', 'pygments'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
