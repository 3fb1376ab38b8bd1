# SPDX-License-Identifier: Apache-2.0
"""The slots on disk: what serves, what a rollback brings back, and what a cut in the middle leaves."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from edgectl_agent.store.slots import ModelStore
from edgectl_protos.errors import StateError
from edgectl_protos.manifest import (
    MANIFEST_MEMBER,
    Manifest,
    Member,
    Requirements,
    Tolerance,
    manifest_digest,
    serialize_manifest,
)

_MANIFEST = Manifest(
    name="m",
    version="1",
    members={"model.pte": Member("0" * 64, 1)},
    inputs=(),
    outputs=(),
    requirements=Requirements("executorch 1.5.1", ("x86_64",), ()),
    golden=(),
    tolerance=Tolerance(0.0, 0.0),
    delegated_fraction=1.0,
)


def _stage(store: ModelStore, root: Path, version: str) -> str:
    unpacked = root / f"unpacked-{version}"
    unpacked.mkdir()
    data = serialize_manifest(replace(_MANIFEST, version=version))
    (unpacked / MANIFEST_MEMBER).write_bytes(data)
    (unpacked / "model.pte").write_bytes(b"x")
    store.stage(unpacked, name="m")
    assert not unpacked.exists()
    return manifest_digest(data)


def _view(store: ModelStore) -> tuple[set[str], str | None, str | None]:
    model = store.model("m")
    return (
        {slot.manifest.version for slot in model.slots},
        model.active.manifest.version if model.active else None,
        model.previous.manifest.version if model.previous else None,
    )


def _reopened(root: Path) -> tuple[set[str], str | None, str | None]:
    return _view(ModelStore(root / "models"))


def test_activation_remembers_what_was_active(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    for version in ("1", "2"):
        store.activate("m", _stage(store, tmp_path, version))
    assert _view(store) == _reopened(tmp_path) == ({"1", "2"}, "2", "1")


def test_staging_touches_neither_the_active_slot_nor_the_way_back(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    for version in ("1", "2"):
        store.activate("m", _stage(store, tmp_path, version))
    for version in ("3", "4"):
        _stage(store, tmp_path, version)
    assert _view(store) == _reopened(tmp_path) == ({"1", "2", "4"}, "2", "1")


def test_going_back_leaves_nothing_to_go_back_to(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    for version in ("1", "2"):
        store.activate("m", _stage(store, tmp_path, version))
    store.restore("m", store.model("m").previous)
    assert _view(store) == _reopened(tmp_path) == ({"1", "2"}, "1", None)


def test_activating_what_is_active_changes_nothing(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    store.activate("m", _stage(store, tmp_path, "1"))
    second = _stage(store, tmp_path, "2")
    store.activate("m", second)
    store.activate("m", second)
    assert _view(store) == ({"1", "2"}, "2", "1")


def test_without_an_active_one_the_oldest_slot_is_written(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    for version in ("1", "2", "3", "4"):
        _stage(store, tmp_path, version)
    assert _view(store) == ({"2", "3", "4"}, None, None)


def test_a_cut_between_the_two_links_means_nothing_to_go_back_to(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    store.activate("m", _stage(store, tmp_path, "1"))
    _stage(store, tmp_path, "2")
    folder = tmp_path / "models/m"
    (folder / "previous").symlink_to((folder / "active").readlink())
    assert _reopened(tmp_path) == ({"1", "2"}, "1", None)


def test_a_cut_while_a_slot_was_replaced_leaves_the_active_one(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    for version in ("1", "2"):
        store.activate("m", _stage(store, tmp_path, version))
    previous = store.model("m").previous
    assert previous is not None
    shutil.rmtree(previous.directory)
    assert _reopened(tmp_path) == ({"2"}, "2", None)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\xfe"])
def test_a_slot_with_a_damaged_manifest_is_left_out(tmp_path: Path, damage: bytes) -> None:
    store = ModelStore(tmp_path / "models")
    for version in ("1", "2"):
        store.activate("m", _stage(store, tmp_path, version))
    active = store.model("m").active
    assert active is not None
    (active.directory / MANIFEST_MEMBER).write_bytes(damage)
    assert _reopened(tmp_path) == ({"1"}, None, None)


def test_a_link_that_points_out_of_the_folder_is_no_active_slot(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    _stage(store, tmp_path, "1")
    (tmp_path / "models/m/active").symlink_to("../../models/m/A")
    assert _reopened(tmp_path) == ({"1"}, None, None)


def test_activating_what_is_not_there_changes_nothing(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    store.activate("m", _stage(store, tmp_path, "1"))
    with pytest.raises(StateError):
        store.activate("m", "f" * 64)
    assert _view(store) == _reopened(tmp_path) == ({"1"}, "1", None)
