# SPDX-License-Identifier: Apache-2.0
"""Uploads: bounded before they begin, exact while they run, gone afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgectl_agent.store.uploads import RESERVE_BYTES, UploadArea
from edgectl_protos.errors import BundleError, StateError, UsageError


def _area(folder: Path, *, free: int = 1 << 40) -> UploadArea:
    return UploadArea(folder, max_bytes=1000, free_bytes=lambda _path: free)


def test_what_an_earlier_life_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/upload-x").write_bytes(b"half")
    _area(tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize("size", [0, 1001, 1 << 63])
def test_a_size_out_of_bounds_is_refused_before_a_byte(tmp_path: Path, size: int) -> None:
    with pytest.raises(UsageError, match="1 to 1000"), _area(tmp_path / "in").receive(size):
        pytest.fail("accepted")
    assert list((tmp_path / "in").iterdir()) == []


def test_a_disk_without_room_refuses_before_a_byte(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="99 bytes free"), _area(tmp_path, free=RESERVE_BYTES + 99).receive(100):
        pytest.fail("accepted")


def test_room_that_another_upload_announced_is_taken(tmp_path: Path) -> None:
    area = _area(tmp_path, free=RESERVE_BYTES + 150)
    with area.receive(100):
        with pytest.raises(StateError), area.receive(51):
            pytest.fail("accepted")
        with area.receive(50):
            pass
    with area.receive(150):
        pass


def test_more_than_announced_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with _area(tmp_path / "in").receive(10) as upload:
        upload.write(b"x" * 10)
        with pytest.raises(BundleError, match="11 bytes"):
            upload.write(b"x")
    assert list((tmp_path / "in").iterdir()) == []


def test_less_than_announced_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with _area(tmp_path / "in").receive(10) as upload:
        upload.write(b"x" * 9)
        with pytest.raises(BundleError, match="after 9 bytes"):
            upload.finish()
    assert list((tmp_path / "in").iterdir()) == []


def test_an_uploads_own_bytes_are_not_counted_twice(tmp_path: Path) -> None:
    disk = RESERVE_BYTES + 150

    def free(_path: Path) -> int:
        return disk - sum(file.stat().st_size for file in tmp_path.iterdir())

    area = UploadArea(tmp_path, max_bytes=1000, free_bytes=free)
    with area.receive(100) as upload:
        with pytest.raises(StateError, match="50 bytes free"):
            area.check_room(51)
        upload.write(b"x" * 60)
        upload.write(b"x" * 40)
        upload.finish()
        area.check_room(50)
        with pytest.raises(StateError, match="50 bytes free"):
            area.check_room(51)
    area.check_room(150)
