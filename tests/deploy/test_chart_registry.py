"""The published chart: packaged with its image, pushed to a registry, and installed from there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from connector import __version__
from tests.deploy.artefacts import ROOT
from tests.deploy.test_kubernetes import CHART, KUBERNETES, connector_of, helm, pod_of
from tests.support.collectors import free_port
from tests.support.programs import tool
from tests.support.server_process import ServerProcess

IMAGE = "registry.example/soc/email-connector"
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """``HOST:PORT`` of an OCI registry on loopback."""
    port = free_port()
    command: list[str | Path] = [tool("registry"), "-port", str(port)]
    server = ServerProcess(command, f"http://127.0.0.1:{port}", "/v2/", tmp_path / "registry.log")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop()


def test_a_published_chart_installs_the_image_it_was_published_with(registry: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "tools", tree / "tools")
    shutil.copytree(CHART, tree / "deploy" / "helm" / "email-connector")
    shutil.copyfile(ROOT / "Makefile", tree / "Makefile")
    path = f"{tool('helm').parent}:/usr/local/bin:/usr/bin:/bin"
    command = ["make", "chart", f"IMAGE={IMAGE}", f"DIGEST={DIGEST}"]
    subprocess.run(command, cwd=tree, env={"PATH": path}, check=True, timeout=60)

    package = tree / "dist" / f"email-connector-{__version__}.tgz"
    pushed = helm("push", str(package), f"oci://{registry}/charts", "--plain-http")
    assert pushed.returncode == 0, pushed.stderr
    chart = f"oci://{registry}/charts/email-connector"
    values = ("-f", str(CHART / "ci" / "least.yaml"), "--kube-version", f"{KUBERNETES}.0")
    made = helm("template", "email-connector", chart, "--version", __version__, "--plain-http", *values)

    assert made.returncode == 0, made.stderr
    manifests = [manifest for manifest in yaml.safe_load_all(made.stdout) if manifest]
    assert connector_of(pod_of(manifests))["image"] == f"{IMAGE}@{DIGEST}"
