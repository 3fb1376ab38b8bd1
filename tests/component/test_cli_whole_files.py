# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from edgectl.cli.whole_files import whole_file
from edgectl_protos.errors import UsageError


def _write(path: Path, data: bytes) -> None:
    with whole_file(path, option="--html") as put:
        put(data)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"earlier")
    _write(path, b"x" * 100_000)
    assert path.read_bytes() == b"x" * 100_000
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_does_not_fit_is_one_error_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"earlier")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(UsageError, match=r"--html .*page.html cannot be written"):
            _write(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]
