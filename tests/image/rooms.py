"""Namespaces of Linux in place of a container engine: a root file system per stage, and processes inside.

Everything is mounted in the caller's private mount namespace and is gone with it. For the base image stands
this machine's own system with a Python at ``/usr/local``, seen through an overlay that takes every change.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_NEW_NETWORK = 0x40000000
_SET_FLAGS = 0x8914
_UP_AND_RUNNING = 0x41

BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def call(*words: str | Path, **more: object) -> None:
    """Run a program; what it says is shown only when it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")


@dataclass(frozen=True)
class Room:
    """A root file system: what was changed lies in *changes*."""

    root: Path
    changes: Path

    def run(self, words: Sequence[str], environ: Mapping[str, str], directory: str) -> None:
        """Run a program inside, as root, as a builder does."""
        enter = ["chroot", str(self.root), "/bin/sh", "-c", 'cd "$0" && exec "$@"', directory, *words]
        done = subprocess.run(enter, env=dict(environ), check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"RUN failed: {' '.join(words)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")

    def inside(self, path: str) -> Path:
        """Where *path* of the room lies outside."""
        return self.root / path.lstrip("/")

    def freeze(self) -> None:
        """Make it read-only, as an engine does with ``--read-only``."""
        call("mount", "-o", "remount,ro", self.root)


def room(directory: Path, python: Path) -> Room:
    """A fresh room below *directory* with the interpreter of the prefix *python*."""
    for name in ("changes", "work", "root"):
        (directory / name).mkdir(parents=True)
    places = f"lowerdir=/,upperdir={directory / 'changes'},workdir={directory / 'work'}"
    made = Room(directory / "root", directory / "changes")
    call("mount", "-t", "overlay", "overlay", "-o", places, made.root)
    call("mount", "--bind", "-o", "ro", python, made.inside("/usr/local"))
    call("mount", "--rbind", "/dev", made.inside("/dev"))
    call(
        "chroot", made.root, "ldconfig"
    )  # as in the base image, whose Python has its library at /usr/local/lib
    return made


def own_network() -> None:
    """Leave the machine's network: from here on there is a loopback interface and nothing else."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket() as sock:
        fcntl.ioctl(sock, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))


def private(arguments: Sequence[str]) -> None:
    """Begin the program anew with mounts, processes and network of its own; returns there only."""
    if os.environ.get("REHEARSAL") == "inside":
        call("mount", "--make-rprivate", "/")
        return
    inside = {**os.environ, "REHEARSAL": "inside"}
    os.execvpe("unshare", ["unshare", "--mount", "--fork", sys.executable, *arguments], inside)
