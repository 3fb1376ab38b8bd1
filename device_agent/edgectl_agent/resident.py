# SPDX-License-Identifier: Apache-2.0
"""Keeps the agent's resident set to what it works with: what is used seldom or once goes back, the rest stays out."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import types
import urllib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

_MADV_DONTNEED = 4
_M_ARENA_MAX = -8  # malloc.h of glibc
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


def one_arena() -> None:
    """Have all threads share glibc's main arena: each other one would keep free memory of its own, 0.15 MB here."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_ARENA_MAX, 1)


def forget_modules(names: Collection[str], *, kept: Collection[str]) -> None:
    """Drop modules that are not needed again, and their own, so that what is imported next takes their memory.

    Whoever holds something of theirs keeps it; importing one again loads it anew. Those in `kept` stay.
    """
    for name in [*sys.modules]:
        if name not in kept and any(name == one or name.startswith(f"{one}.") for one in names):
            parent, _, attribute = name.rpartition(".")
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(attribute, None)
            sys.modules.pop(name, None)
    re.purge()  # what they compiled
    gc.collect()


@contextmanager
def without_pure_python_protobuf() -> Iterator[None]:
    """Import protobuf with an empty stand-in for its implementation in Python, where the native one is in use.

    It is imported either way, and used in the former case alone; it brings its encoder, decoder, text format and
    pickle, 1.0 MB resident.
    """
    import google.protobuf.internal
    from google.protobuf.internal import api_implementation

    if api_implementation.Type() == "python":
        yield
        return
    with _stand_in("google.protobuf.internal.python_message", google.protobuf.internal):
        yield


@contextmanager
def without_syntax_trees() -> Iterator[None]:
    """Import `inspect` with a stand-in for `ast`, which it needs to read source files alone: 0.2 MB resident.

    asyncio and dataclasses import it, for what it tells of objects.
    """
    with _stand_in("ast", NodeVisitor=object):
        yield


@contextmanager
def without_urllib_request() -> Iterator[None]:
    """Import what is imported here with an empty `urllib.request`, where the real one is not loaded.

    paho imports it for HTTP proxies, which the agent does not use; it brings http and email, 1.0 MB resident.
    """
    with _stand_in("urllib.request", urllib):
        yield


@contextmanager
def _stand_in(name: str, parent: types.ModuleType | None = None, **attributes: object) -> Iterator[None]:
    """A module of that name with these attributes, for the block; where the real one is loaded, it is left alone."""
    if name in sys.modules:
        yield
        return
    module = sys.modules[name] = types.ModuleType(name)
    vars(module).update(attributes)
    attribute = name.rpartition(".")[2]
    if parent is not None:
        setattr(parent, attribute, module)
    try:
        yield
    finally:
        del sys.modules[name]
        if parent is not None:
            delattr(parent, attribute)
