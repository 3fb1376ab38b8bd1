# SPDX-License-Identifier: Apache-2.0
"""Bundles are written whole or not at all; the same inputs give the same bytes; `describe_bundle` tells the truth."""

from __future__ import annotations

import dataclasses
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgectl.lower.bundle import write_bundle
from edgectl.lower.delegation import DelegationReport
from edgectl.lower.golden import GoldenTensors
from edgectl.lower.inspect import describe_bundle
from edgectl.lower.program import LoweredProgram, runtime_version
from edgectl.targets import load_target
from edgectl_protos.bundle import BundleInfo, open_bundle
from edgectl_protos.errors import UsageError
from edgectl_protos.manifest import Budgets, Tolerance
from edgectl_protos.tensors import TensorSpec

PROGRAM = LoweredProgram(
    data=bytes(range(256)) * 40,
    delegation=DelegationReport({"aten.convolution.default": 3}, {"aten.cumsum.default": 1}),
    inputs=(TensorSpec("float32", (1, 2)),),
    outputs=(TensorSpec("float32", (1, 3)),),
    delegates=("XnnpackBackend",),
    seconds=1.5,
)
CASE = GoldenTensors((np.ones((1, 2), np.float32),), (np.arange(3, dtype=np.float32).reshape(1, 3),))


def write(path: Path, **changes: Any) -> BundleInfo:
    arguments: dict[str, Any] = {
        "program": PROGRAM,
        "name": "net",
        "version": "1.0",
        "golden": (CASE, CASE),
        "tolerance": Tolerance(1e-4, 1e-3),
        "labels": ("a", "b", "c"),
        "target": load_target("generic"),
        "provenance": {"recipe": {"name": "net", "seed": 0}, "versions": {"torch": "2.13.0"}},
    }
    return write_bundle(path, **(arguments | changes))


def test_bundle_holds_what_was_given(tmp_path: Path) -> None:
    path = tmp_path / "net-1.0.edge"
    info = write(path, budgets=Budgets(p95_ms=20.0))
    with open_bundle(path) as bundle:
        bundle.verify()
        assert bundle.info == info
        assert bundle.read("model.pte") == PROGRAM.data
        (tmp_path / "golden.npy").write_bytes(bundle.read("golden/1/output_0.npy"))
    assert np.array_equal(np.load(tmp_path / "golden.npy", allow_pickle=False), CASE.outputs[0])
    manifest = info.manifest
    assert manifest.requirements.runtime == runtime_version() == "executorch 1.5.1"
    assert manifest.requirements.architectures == ("x86_64", "aarch64")
    assert manifest.requirements.delegates == ("XnnpackBackend",)
    assert (manifest.delegated_fraction, manifest.undelegated) == (0.75, ("aten.cumsum.default",))
    assert manifest.budgets.p95_ms == 20.0
    assert [len(case.inputs) + len(case.outputs) for case in manifest.golden] == [2, 2]


def test_same_inputs_give_the_same_bytes_whatever_the_order_and_the_place(tmp_path: Path) -> None:
    first, second = tmp_path / "a.edge", tmp_path / "elsewhere" / "b.edge"
    second.parent.mkdir()
    write(first)
    os.umask(os.umask(0o077))
    write(
        second,
        program=dataclasses.replace(PROGRAM, seconds=9.9),
        provenance={"versions": {"torch": "2.13.0"}, "recipe": {"seed": 0, "name": "net"}},
    )
    assert first.read_bytes() == second.read_bytes()


def test_members_are_dated_and_moded_alike_and_packed_where_it_helps(tmp_path: Path) -> None:
    path = tmp_path / "net.edge"
    noise = np.random.default_rng(0).bytes(4096)
    write(path, program=dataclasses.replace(PROGRAM, data=noise))
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    assert entries[0].filename == "manifest.json"
    assert [entry.filename for entry in entries[1:]] == sorted(entry.filename for entry in entries[1:])
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {stat.S_IMODE(entry.external_attr >> 16) for entry in entries} == {0o644}
    methods = {entry.filename: entry.compress_type for entry in entries}
    assert methods["model.pte"] == zipfile.ZIP_STORED
    assert methods["manifest.json"] == zipfile.ZIP_DEFLATED


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../net"},
        {"version": ""},
        {"labels": ("two\nlines",)},
        {"tolerance": Tolerance(float("nan"), 0.0)},
        {"provenance": {"loss": float("nan")}},
        {"provenance": {"when": object()}},
        {"budgets": Budgets(p95_ms=-1.0)},
        {"golden": (GoldenTensors((), ()),)},
    ],
)
def test_unfit_input_leaves_the_previous_bundle_and_nothing_else(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "net.edge"
    write(path)
    before = path.read_bytes()
    with pytest.raises(UsageError) as caught:
        write(path, **changes)
    assert "\n" not in caught.value.message
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write(tmp_path / "absent" / "net.edge")
    assert list(tmp_path.iterdir()) == []


def test_folder_in_the_way_is_said_and_no_temporary_stays(tmp_path: Path) -> None:
    (tmp_path / "net.edge").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write(tmp_path / "net.edge")
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.edge"]


def test_description_of_a_whole_bundle(tmp_path: Path) -> None:
    path = tmp_path / "net.edge"
    info = write(path)
    described = describe_bundle(path)
    assert described["verified"] is True
    assert described["damage"] is None
    assert described["digest"] == info.digest
    assert described["file_bytes"] == path.stat().st_size
    assert described["inputs"] == [{"dtype": "float32", "shape": [1, 2]}]
    assert described["members"]["model.pte"]["bytes"] == len(PROGRAM.data)
    assert set(described["members"]) == {"manifest.json", *info.manifest.members}
    assert described["golden_cases"] == 2


def test_description_of_a_damaged_bundle_names_the_member(tmp_path: Path) -> None:
    path = tmp_path / "net.edge"
    noise = np.random.default_rng(0).bytes(4096)
    write(path, program=dataclasses.replace(PROGRAM, data=noise))
    data = bytearray(path.read_bytes())
    data[data.index(noise) + 100] ^= 1
    path.write_bytes(data)
    described = describe_bundle(path)
    assert described["verified"] is False
    assert "model.pte" in described["damage"]
