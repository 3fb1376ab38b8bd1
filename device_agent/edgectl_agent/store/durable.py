# SPDX-License-Identifier: Apache-2.0
"""Writes that survive a power cut: sync the content, then the name."""

from __future__ import annotations

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make the names inside `directory` durable."""
    _sync(directory, os.O_RDONLY | os.O_DIRECTORY)


def sync_tree(directory: Path) -> None:
    """Make every file and folder below `directory` durable, the names in it included."""
    for folder, _folders, files in os.walk(directory):
        for name in files:
            _sync(Path(folder) / name, os.O_RDONLY)
        sync_directory(Path(folder))


def replace_link(link: Path, target: str) -> None:
    """Point `link` at `target` by one rename: at any instant it points at the old or the new one."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
    sync_directory(link.parent)


def remove_link(link: Path) -> None:
    """Remove `link` where it exists."""
    link.unlink(missing_ok=True)
    sync_directory(link.parent)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
