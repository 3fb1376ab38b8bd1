# SPDX-License-Identifier: Apache-2.0
"""Keeps the agent's resident set to what it works with: what is used seldom goes back, a needless import stays out."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import types
import urllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MADV_DONTNEED = 4
_TEXT_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ [1-9]\d* ", flags=re.MULTILINE)


def give_back_pages(maps: Path = Path("/proc/self/maps")) -> None:
    """Drop the pages of program text, and the free memory of the allocator, that starting or installing left resident.

    Text is mapped from files and never written, so what is used again comes back from the page cache at the price of
    a minor fault. Where the system has no such call, nothing happens.
    """
    gc.collect()
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim") or not maps.exists():
        return
    library.malloc_trim(0)
    for start, end in text_mappings(maps.read_text()):
        library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def text_mappings(maps: str) -> list[tuple[int, int]]:
    """First address, and the one past the last, of each private executable mapping of a file in /proc/PID/maps."""
    return [(int(match[1], 16), int(match[2], 16)) for match in _TEXT_MAPPING.finditer(maps)]


@contextmanager
def without_urllib_request() -> Iterator[None]:
    """Import what is imported here with an empty `urllib.request`, where the real one is not loaded.

    paho imports it for HTTP proxies, which the agent does not use; it brings http and email, 1.0 MB resident.
    """
    name = "urllib.request"
    if name in sys.modules:
        yield
        return
    placeholder = types.ModuleType(name)
    sys.modules[name] = placeholder
    urllib.request = placeholder  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del sys.modules[name], urllib.request  # type: ignore[attr-defined]
