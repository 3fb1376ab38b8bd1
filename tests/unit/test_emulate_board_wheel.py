# SPDX-License-Identifier: Apache-2.0
"""Finding the boards' wheel and taking the runner out of it."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import edgectl
import pytest
from edgectl.config import Paths
from edgectl.emulate import board_wheel
from edgectl.emulate.board_wheel import find_board_wheel, unpack_runner
from edgectl_protos.errors import EdgectlError, StateError, UsageError

NAME = f"edgectl_agent-{edgectl.__version__}-py3-none-manylinux_2_34_aarch64.whl"
DATA = f"edgectl_agent-{edgectl.__version__}.data"
RUNNER = f"{DATA}/scripts/edge-runner"
LIBRARY = f"{DATA}/data/lib/edgectl/libexecutorch.so"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Without a checkout: what this one holds in `dist` is not the test's."""
    monkeypatch.setattr(board_wheel, "_checkout_dist", lambda: None)
    return Paths(config=tmp_path / "config", state=tmp_path / "state", cache=tmp_path / "cache")


def _wheel(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def small_wheel(folder: Path) -> Path:
    return _wheel(folder / NAME, {RUNNER: b"program", LIBRARY: b"library", "edgectl_agent/__init__.py": b""})


def test_the_variable_names_the_wheel(paths: Paths, tmp_path: Path) -> None:
    wheel = small_wheel(tmp_path)
    assert find_board_wheel(paths, {"EDGECTL_BOARD_WHEEL": str(wheel)}) == wheel


@pytest.mark.parametrize("name", ["missing_aarch64.whl", "edgectl_agent-1-py3-none-manylinux_2_34_x86_64.whl"])
def test_a_variable_that_names_no_such_wheel_is_refused(paths: Paths, tmp_path: Path, name: str) -> None:
    if "x86_64" in name:
        _wheel(tmp_path / name, {RUNNER: b""})
    with pytest.raises(UsageError, match="EDGECTL_BOARD_WHEEL"):
        find_board_wheel(paths, {"EDGECTL_BOARD_WHEEL": str(tmp_path / name)})


def test_the_newest_of_this_version_is_found(paths: Paths) -> None:
    folder = paths.cache / "boards"
    older = _wheel(folder / NAME.replace("2_34", "2_28"), {RUNNER: b""})
    os.utime(older, (1, 1))
    _wheel(folder / NAME.replace(edgectl.__version__, "9.9.9"), {RUNNER: b""})
    _wheel(folder / NAME.replace("aarch64", "x86_64"), {RUNNER: b""})
    assert find_board_wheel(paths, {}) == older
    newer = small_wheel(folder)
    assert find_board_wheel(paths, {}) == newer


def test_without_a_wheel_it_says_what_to_run(paths: Paths) -> None:
    with pytest.raises(StateError, match="make agent-wheel ARCH=aarch64"):
        find_board_wheel(paths, {})


def test_runner_and_libraries_come_out_and_nothing_else(tmp_path: Path) -> None:
    runner = unpack_runner(small_wheel(tmp_path), tmp_path / "into")
    folder = runner.parent.parent
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"bin/edge-runner": b"program", "lib/edgectl/libexecutorch.so": b"library"}
    assert stat.S_IMODE(runner.stat().st_mode) == 0o755


def test_what_is_there_is_not_written_again_and_another_wheel_has_its_own_folder(tmp_path: Path) -> None:
    first = unpack_runner(small_wheel(tmp_path / "a"), tmp_path / "into")
    marked = first.stat().st_mtime_ns
    assert unpack_runner(small_wheel(tmp_path / "a"), tmp_path / "into") == first
    assert first.stat().st_mtime_ns == marked
    other = unpack_runner(_wheel(tmp_path / "b" / NAME, {RUNNER: b"another"}), tmp_path / "into")
    assert other != first
    assert other.read_bytes() == b"another"


@pytest.mark.parametrize("name", [f"{DATA}/data/lib/edgectl/../../../evil.so", f"../{LIBRARY}", f"/{LIBRARY}"])
def test_a_name_that_leads_elsewhere_is_not_taken(tmp_path: Path, name: str) -> None:
    runner = unpack_runner(_wheel(tmp_path / NAME, {RUNNER: b"", name: b"evil"}), tmp_path / "into")
    assert [path.name for path in tmp_path.rglob("*.so")] == []
    assert runner.is_file()


@pytest.mark.parametrize("damage", ["no zip", "empty", "truncated", "broken data"])
def test_a_damaged_wheel_leaves_nothing(tmp_path: Path, damage: str) -> None:
    wheel = small_wheel(tmp_path)
    if damage == "no zip":
        wheel.write_bytes(b"not a wheel")
    elif damage == "empty":
        _wheel(wheel, {"edgectl_agent/__init__.py": b""})
    elif damage == "broken data":
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(RUNNER, bytes(range(256)) * 8)
        data = bytearray(wheel.read_bytes())
        start = 30 + len(RUNNER)  # behind the member's header and its name
        data[start : start + 10] = b"\xff" * 10
        wheel.write_bytes(data)
    else:
        data = bytearray(wheel.read_bytes())
        data[data.index(b"program")] ^= 1  # its checksum is wrong now
        wheel.write_bytes(data)
    with pytest.raises(EdgectlError, match="make agent-wheel"):
        unpack_runner(wheel, tmp_path / "into")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [wheel]
