"""Rehearse the image without a container engine: execute every step of the Dockerfile, run what came of it.

    make rehearse      as root on Linux; PYTHON313=/path/to/python3.13 names the base image's interpreter

The steps are executed verbatim. In place of the base image stands this machine's own system with a Python
3.13 at ``/usr/local``; in place of an engine the same namespaces of Linux that it would use. So it shows: the
steps work; the connector runs as process 1, as the image's user and as any other of the group 0, without
capabilities, on a read-only file system with its state as the only place to write, in a network of its own,
configured by the file of a secret; its health check works; SIGHUP reloads it and SIGTERM ends it. It does not
show: the base image itself, its size, and an engine's caching.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Self

from tests.image.dockerfile import ROOT, Stage, expand, stages
from tests.image.rooms import BASE_PATH, Room, call, own_network, private, room

ACCOUNT = "0" * 31 + "1"
SECRET = "/run/secrets/cloudflare_api_token"
SIMULATOR = "http://127.0.0.1:8787/client/v4"
ENDPOINT = "http://127.0.0.1:9464"


def main() -> None:
    """Build, run, look, end."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        sys.exit("a rehearsal needs root on Linux")
    prefix = python_prefix()
    private(["-m", "tests.image.rehearsal"])
    build, image = stages((ROOT / "Dockerfile").read_text())
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as name:
        directory = Path(name)
        call("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", directory)
        built = execute(build, room(directory / "build", prefix), None)
        made = execute(image, room(directory / "image", prefix), built)
        say("every step of the Dockerfile works")
        look(made)
        try:
            rehearse(image, made, directory)
        finally:
            call("umount", "--lazy", directory)


def python_prefix() -> Path:
    """The prefix of a Python 3.13 that can be mounted at /usr/local."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob("3.13.*/bin/python3.13"))
    found = os.environ.get("PYTHON313") or (pyenv[-1] if pyenv else shutil.which("python3.13"))
    if not found:
        sys.exit("no Python 3.13 here: set PYTHON313=/path/to/python3.13")
    code = "import sys; print(sys.base_prefix)"
    done = subprocess.run([found, "-c", code], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def execute(stage: Stage, made: Room, built: Room | None) -> Room:
    """Execute the steps of *stage*; files come from the repository, or from the stage *built*."""
    directory = "/"
    environ = {"PATH": BASE_PATH, "HOME": "/root"}
    environ |= {name: expand(value, environ) for name, value in stage.environment.items()}
    for word, rest in stage.steps:
        say(f"  {word} {rest[:90]}")
        if word == "WORKDIR":
            directory = rest
            made.inside(directory).mkdir(parents=True, exist_ok=True)
        elif word == "RUN":
            made.run(["/bin/sh", "-c", rest], environ | _registry(), directory)
        else:
            copy(rest, made, built, directory)
    return made


def _registry() -> dict[str, str]:
    """How pip reaches a registry from here; a builder has its own way."""
    return {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HTTP", "SSL_"))}


def copy(rest: str, made: Room, built: Room | None, directory: str) -> None:
    """COPY as the Dockerfile uses it: files into a directory, a directory's content, another stage's."""
    words = rest.split()
    flags = {name: value for name, _, value in (w.partition("=") for w in words if w.startswith("--"))}
    *sources, target = [word for word in words if not word.startswith("--")]
    to = made.inside(str(Path(directory) / target))
    for source in sources:
        origin = built.inside(source) if "--from" in flags and built else ROOT / source
        if origin.is_dir():
            ignored = shutil.ignore_patterns("__pycache__") if "--from" not in flags else None
            shutil.copytree(origin, to, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy2(origin, to)
    if "--chown" in flags:
        user, _, group = flags["--chown"].partition(":")
        os.chown(to, int(user), int(group))


def look(made: Room) -> None:
    """What is in the image, and what is not."""
    top = made.inside("/opt/connector")
    files = [path for path in top.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    compiled = [path for path in files if path.suffix == ".pyc"]
    assert not (top / "bin" / "pip").exists(), "pip is in the image"
    assert not made.inside("/src").exists(), "the sources are in the image"
    assert compiled, "no bytecode: a read-only image would compile at every start"
    say(f"/opt/connector: {len(files)} files, {size / 1e6:.0f} MB; bytecode for {len(compiled)} modules")


def rehearse(image: Stage, made: Room, directory: Path) -> None:
    """Run the image as an engine would, next to the simulator of the API."""
    prepare(image, made, directory)
    own_network()
    user = image.user
    with Inside(made, user, ["email-connector", "simulate", "--port", "8787"], _environ(image)) as _:
        until(lambda: answers("http://127.0.0.1:8787/") is not None, "the simulator")
        account = {
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
            "CLOUDFLARE_API_TOKEN_FILE": SECRET,
            "CLOUDFLARE_BASE_URL": SIMULATOR,
        }
        environ = _environ(image) | account
        for who in (user, "20000:0"):
            begin = time.monotonic()
            with Inside(made, who, image.entrypoint + image.command, environ) as running:
                until(lambda: answers(f"{ENDPOINT}/readyz") == HTTPStatus.OK, f"readiness as {who}")
                say(f"ready as {who}, process 1, read-only, {time.monotonic() - begin:.1f} s after its start")
                health = running.beside(image.health, environ)
                assert health == 0, f"the health check ends with {health}"
                running.signal("SIGHUP")
                until(reloaded, "a reload by SIGHUP")
                code = running.end()
                assert code == 0, f"SIGTERM: {code}"
            say("  health check 0, SIGHUP reloads, SIGTERM ends it with 0")
            empty(made.inside(image.volumes[0]))


def prepare(image: Stage, made: Room, directory: Path) -> None:
    """The volume, the secret, and nothing else that can be written."""
    secrets, state = made.inside("/run/secrets"), made.inside(image.volumes[0])
    owner, mode = state.stat(), state.stat().st_mode & 0o7777
    secrets.mkdir(parents=True, exist_ok=True)
    (secrets / Path(SECRET).name).write_text("any\n")
    volume = directory / "volume"
    volume.mkdir()
    os.chown(volume, owner.st_uid, owner.st_gid)
    volume.chmod(mode)
    call("mount", "--bind", volume, state)
    made.freeze()
    try:
        made.inside("/tmp/x").touch()
    except OSError:
        return
    sys.exit("the root file system can be written")


def empty(directory: Path) -> None:
    """Another volume for the next run."""
    for path in directory.iterdir():
        path.unlink()


def _environ(image: Stage) -> dict[str, str]:
    base = {"PATH": BASE_PATH}
    return base | {name: expand(value, base) for name, value in image.environment.items()}


class Inside:
    """A process in the room: process 1 of its own namespace, as *user*, without capabilities."""

    def __init__(self, made: Room, user: str, words: list[str], environ: dict[str, str]) -> None:
        uid, _, gid = user.partition(":")
        drop = ["--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
        self._enter = ["chroot", str(made.root), "setpriv", *drop, "--inh-caps=-all"]
        spaces = ["--pid", "--fork", f"--mount-proc={made.inside('/proc')}"]
        command = ["unshare", *spaces, *self._enter, *words]
        self._process = subprocess.Popen(
            command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._process.poll() is None:
            self.signal("SIGKILL")
        said = self._process.communicate(timeout=30)[1]
        if kind is not None:
            sys.stderr.write(said.decode()[-4000:])

    def beside(self, words: list[str], environ: dict[str, str]) -> int:
        """Run a command next to it, as ``docker exec`` does; its exit code."""
        done = subprocess.run([*self._enter, *words], env=environ, check=False, timeout=60)
        return done.returncode

    def signal(self, name: str) -> None:
        """Send a signal to process 1."""
        pid = self._process.pid
        [first] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(first), signal.Signals[name])

    def end(self) -> int:
        """SIGTERM; the exit code."""
        self.signal("SIGTERM")
        return self._process.wait(90)


def answers(url: str) -> int | None:
    """The status that *url* answers with, if anything does."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def reloaded() -> bool:
    """Whether the metrics count a reload."""
    with urllib.request.urlopen(f"{ENDPOINT}/metrics", timeout=5) as answer:
        return b'email_connector_config_reloads_total{outcome="success"} 1.0' in answer.read()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for *condition*."""
    deadline = time.monotonic() + 90
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited in vain for {what}")
        time.sleep(0.1)


def say(text: str) -> None:
    """A line for the person who watches."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
