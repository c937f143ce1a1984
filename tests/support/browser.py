"""A real headless Chromium, driven over the WebDriver protocol."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
]  # fmt: skip


class Browser:
    """One browser window."""

    def __init__(
        self, driver: str, profile: Path, *, width: int, height: int, dark: bool, phone: bool
    ) -> None:
        self._driver = driver
        arguments = [*_ARGUMENTS, f"--window-size={width},{height}", f"--user-data-dir={profile}"]
        if dark:
            arguments.append("--force-dark-mode")
        options: dict[str, Any] = {"args": arguments, "binary": shutil.which("chromium")}
        if phone:  # a window cannot be as narrow as a phone
            metrics = {"width": width, "height": height, "pixelRatio": 2.0}
            options["mobileEmulation"] = {"deviceMetrics": metrics}
        answer = self._post(
            "/session",
            {
                "capabilities": {
                    "alwaysMatch": {
                        "browserName": "chrome",
                        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
                        "goog:chromeOptions": options,
                    }
                }
            },
        )
        self._session = f"/session/{answer['sessionId']}"

    def open(self, url: str) -> None:
        """Load a page."""
        self._post(f"{self._session}/url", {"url": url})

    def run(self, script: str) -> Any:
        """The value that *script* returns in the page."""
        return self._post(f"{self._session}/execute/sync", {"script": script, "args": []})

    def until(self, script: str) -> None:
        """Wait until *script* returns something true."""
        deadline = time.monotonic() + 30
        while not self.run(script):
            assert time.monotonic() < deadline, f"waited in vain: {script}"
            time.sleep(0.1)

    def tab(self) -> str:
        """Press the tabulator; what has the focus then: the words that a screen reader says of it."""
        keys = {"type": "key", "id": "keyboard"}
        press = [{"type": kind, "value": "\ue004"} for kind in ("keyDown", "keyUp")]
        self._post(f"{self._session}/actions", {"actions": [{**keys, "actions": press}]})
        said: str = self.run(
            "const it = document.activeElement, by = it.getAttribute('aria-labelledby');"
            "return by ? document.getElementById(by).textContent : it.textContent"
        )
        return said

    def complaints(self) -> list[str]:
        """What the console said since it was last asked."""
        return [entry["message"] for entry in self._log("browser")]

    def requested(self) -> list[str]:
        """The addresses that were asked for since this was last called."""
        messages = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def screenshot(self, path: Path) -> None:
        """Write what is to be seen as PNG."""
        with urllib.request.urlopen(f"{self._driver}{self._session}/screenshot", timeout=60) as answer:
            path.write_bytes(base64.b64decode(json.load(answer)["value"]))

    def quit(self) -> None:
        """Close the window."""
        request = urllib.request.Request(f"{self._driver}{self._session}", method="DELETE")
        urllib.request.urlopen(request, timeout=60).close()

    def _log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self._post(f"{self._session}/se/log", {"type": kind})
        return entries

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            self._driver + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]


@contextmanager
def browser(
    directory: Path, *, width: int = 1200, height: int = 1000, dark: bool = False, phone: bool = False
) -> Iterator[Browser]:
    """A browser for the time of the block; skips where there is none, fails in CI."""
    program = shutil.which("chromedriver")
    if program is None or shutil.which("chromium") is None:
        if os.environ.get("CI"):
            pytest.fail("CI runs without chromium and chromedriver")
        pytest.skip("chromium and chromedriver are not installed")
    process = subprocess.Popen(
        [program, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        port = next(
            found[1] for line in process.stdout if (found := re.search(r"successfully on port (\d+)", line))
        )
        address = f"http://127.0.0.1:{port}"
        made = Browser(address, directory / "profile", width=width, height=height, dark=dark, phone=phone)
        try:
            yield made
        finally:
            made.quit()
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
