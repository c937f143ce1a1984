"""Large pieces of memory go back to the system at once, unless the operator has arranged it otherwise."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tests.support.process import environment

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")

_SECOND_PIECE = """
import sys
from connector.app.runtime import tune_allocator
{tune}
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.free(libc.malloc(16 << 20))
IS_MMAPPED = 2
header = ctypes.c_size_t.from_address(libc.malloc(16 << 20) - ctypes.sizeof(ctypes.c_size_t))
print(bool(header.value & IS_MMAPPED))
"""
"""Untuned, glibc takes a second large piece from its heap: it has learned from the first one."""


@pytest.mark.parametrize(
    ("tune", "environ", "alone"),
    [
        ("tune_allocator()", {}, "True"),
        ("", {}, "False"),
        ("sys.modules['ctypes'] = None; tune_allocator(); del sys.modules['ctypes']", {}, "False"),
        ("tune_allocator()", {"MALLOC_ARENA_MAX": "4"}, "False"),
        ("tune_allocator()", {"GLIBC_TUNABLES": "glibc.malloc.arena_max=4"}, "False"),
    ],
)
def test_a_large_piece_is_given_back_on_its_own(tune: str, environ: dict[str, str], alone: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SECOND_PIECE.format(tune=tune)],
        env=environment(**environ), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == alone
