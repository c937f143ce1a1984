"""A host of the Splunk SOAR app, on Splunk's SDK: what the platform stores, kept in memory.

Run by the SDK's Python: ``host.py DIRECTORY_OF_THE_APP``. Each line of stdin is a call: ``input`` as the
platform sends it, ``state`` of the asset, ``stored`` (identifiers of containers and artifacts), ``full`` (no
artifact can be stored), ``answer`` (a file for what the app told). Every call has a process of its own, as on
the platform, forked from one that has loaded the SDK.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from soar_sdk.app import App
from soar_sdk.shims.phantom_common.encryption.encryption_manager_factory import platform_encryption_backend


class Storage:
    """Containers and artifacts; what has a known identifier is a duplicate."""

    def __init__(self, stored: Mapping[str, int], full: bool) -> None:
        self.ids = dict(stored)
        self.full = full
        self.containers: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []

    def save_container(
        self, container: dict[str, Any], fail_on_duplicate: bool = False
    ) -> tuple[bool, str, int]:
        key = container["source_data_identifier"]
        if key in self.ids:
            return False, "Error: duplicate container found", self.ids[key]
        self.ids[key] = len(self.ids) + 1
        self.containers.append({**container, "id": self.ids[key]})
        return True, "Container created", self.ids[key]

    def save_artifacts(self, artifacts: Iterable[dict[str, Any]]) -> tuple[bool, str, list[int]]:
        if self.full:
            return False, "disk full", []
        for artifact in artifacts:
            key = artifact["source_data_identifier"]
            if key not in self.ids:
                self.ids[key] = len(self.ids) + 1
                self.artifacts.append(artifact)
        return True, "Artifacts saved", []


def carry_out(app: App, call: Mapping[str, Any]) -> dict[str, Any]:
    storage, progress, manager = Storage(call["stored"], call["full"]), io.StringIO(), app.actions_manager
    manager.save_container, manager.save_artifacts = storage.save_container, storage.save_artifacts
    manager.save_state(call["state"])
    config = call["input"]["config"]
    for field in app.asset_cls.fields_requiring_decryption() & config.keys():
        config[field] = platform_encryption_backend.encrypt(config[field], call["input"]["asset_id"])
    with contextlib.redirect_stdout(progress):
        app.handle(json.dumps(call["input"]))
    results = [
        {
            "status": one.get_status(),
            "message": one.get_message(),
            "data": one.get_data(),
            "summary": one.get_summary(),
        }
        for one in manager.get_action_results()
    ]
    return {
        "results": results,
        "progress": progress.getvalue(),
        "containers": storage.containers,
        "artifacts": storage.artifacts,
        "stored": storage.ids,
        "state": manager.load_state(),
    }


def main() -> None:
    folder = Path(sys.argv[1])
    sys.path.insert(0, str(folder.parent))
    app = importlib.import_module(f"{folder.name}.src.app").app
    for line in sys.stdin:
        call = json.loads(line)
        if os.fork() == 0:
            try:
                told = carry_out(app, call)
            except BaseException:  # noqa: BLE001, the test shows whatever it was
                told = {"crashed": traceback.format_exc()}
            Path(call["answer"]).write_text(json.dumps(told))
            os._exit(0)
        os.wait()
        sys.stdout.write("done\n")
        sys.stdout.flush()


main()
