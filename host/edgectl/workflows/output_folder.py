# SPDX-License-Identifier: Apache-2.0
"""A folder for results that is there only if there are results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgectl_protos.errors import UsageError


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """The folder, made with its parents where there is none; whatever was made is removed if the block leaves it empty.

    Raises:
        UsageError: it cannot be made.
    """
    made: list[Path] = []
    try:
        _make(path, made)
        yield path
    finally:
        for folder in reversed(made):
            try:
                folder.rmdir()
            except OSError:  # something is in it, so there is something in those above it
                break


def _make(path: Path, made: list[Path]) -> None:
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir()
            made.append(folder)
        path.mkdir(exist_ok=True)  # where it is no folder this fails
    except OSError as error:
        raise UsageError(f"cannot write to {path} ({error.strerror})", action="choose another folder") from error
