# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all, in places that are tried before the work for them begins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import Protocol

from edgectl_protos.errors import UsageError


class Put(Protocol):
    """Gives the file its content; nothing is there before, and nothing if it fails."""

    def __call__(self, data: bytes) -> None: ...


@contextmanager
def whole_file(path: Path, *, option: str) -> Iterator[Put]:
    """A file that is written within the block, or not at all; whatever was there stays until then.

    Raises:
        UsageError: it cannot be written there; said at the start, and naming the `option` that asked for it.
    """
    try:
        target = path.resolve()  # a link keeps pointing to its file
        if target.exists() and not target.is_file():
            raise UsageError(f"{option} {path} is no file", expected="one that can be written", action="choose another")
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        file = temporary.open("xb", buffering=0)  # nothing is left for `close` to write, and to fail at
    except OSError as error:
        raise _unwritable(path, option, error) from error

    def put(data: bytes) -> None:
        try:
            _fill(file, data)
            temporary.replace(target)
        except OSError as error:
            raise _unwritable(path, option, error) from error

    try:
        yield put
    finally:
        file.close()
        temporary.unlink(missing_ok=True)


def _fill(file: RawIOBase, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) or 0 :]
    os.fsync(file.fileno())


def _unwritable(path: Path, option: str, error: OSError) -> UsageError:
    return UsageError(
        f"{option} {path} cannot be written ({error.strerror or error})",
        expected="a place where a file can be made",
        action="choose another",
    )
