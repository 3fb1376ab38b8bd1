# SPDX-License-Identifier: Apache-2.0
"""A program that a device has not the memory for is refused before a byte of it is sent."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgectl.cli.main import run
from edgectl.lab.device_memory import SYSTEM_BYTES, check_memory
from edgectl.lab.device_values import DeviceInfo
from edgectl.lab.testing.scripted_agent import Script, ScriptedAgent
from edgectl.lower.bundle import write_members
from edgectl_protos.errors import IncompatibleBundleError
from edgectl_protos.manifest import Manifest, Member, Requirements, Tolerance, parse_manifest, serialize_manifest
from edgectl_protos.tensors import TensorSpec

MIB = 1 << 20
ZERO_2W = DeviceInfo(
    name="zero",
    agent_version="0",
    boot_id="b",
    architecture="aarch64",
    runtime="executorch 1.5.1",
    delegates=(),
    capabilities=(),
    kernel="",
    cpu_model="",
    cpu_features=(),
    cpu_count=4,
    memory_bytes=416 * MIB,
    models=(),
    agent_pss_bytes=None,
)


def manifest(memory_bytes: int | None, program: bytes = b"x") -> Manifest:
    return Manifest(
        name="net",
        version="1",
        members={"model.pte": Member(hashlib.sha256(program).hexdigest(), len(program))},
        inputs=(TensorSpec("float32", (1,)),),
        outputs=(TensorSpec("float32", (1,)),),
        requirements=Requirements("executorch 1.5.1", ("aarch64",), (), memory_bytes),
        golden=(),
        tolerance=Tolerance(0.0, 0.0),
        delegated_fraction=1.0,
    )


def test_program_is_refused_where_it_leaves_nothing_for_the_system() -> None:
    check_memory(manifest(192 * MIB), ZERO_2W)
    with pytest.raises(IncompatibleBundleError) as caught:
        check_memory(manifest(193 * MIB), ZERO_2W)
    assert "net takes 193 MiB at its peak" in caught.value.message
    assert "at most 192 MiB, which zero has for a program: 416 MiB less 224" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("needed", "memory"), [(None, 416 * MIB), (1 << 40, 0), (0, SYSTEM_BYTES)])
def test_program_or_device_that_tells_no_memory_passes(needed: int | None, memory: int) -> None:
    check_memory(manifest(needed), replace(ZERO_2W, memory_bytes=memory))


def test_device_smaller_than_its_system_has_nothing_for_a_program() -> None:
    with pytest.raises(IncompatibleBundleError, match="at most 0 MiB"):
        check_memory(manifest(1), replace(ZERO_2W, memory_bytes=64 * MIB))


def test_estimate_survives_the_manifest_and_an_older_manifest_has_none() -> None:
    data = serialize_manifest(manifest(123))
    assert parse_manifest(data).requirements.memory_bytes == 123
    older = data.replace(b'"memory_bytes":123,', b"")
    assert older != data
    assert parse_manifest(older).requirements.memory_bytes is None


@pytest.mark.parametrize("command", ["deploy", "bench", "profile", "infer"])
def test_command_sends_nothing_of_a_program_that_does_not_fit(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGECTL_HOME", str(tmp_path / "home"))
    path, array = tmp_path / "net-1.edge", tmp_path / "x.npy"
    write_members(path, manifest=manifest(193 * MIB), contents={"model.pte": b"x"})
    np.save(array, np.zeros(1, dtype=np.float32))
    with ScriptedAgent(Script(device="zero", memory_bytes=416 * MIB)) as agent:
        run(("device", "add", "zero", agent.address), environ=os.environ)
        words = (command, str(path), "--on", "zero", *(("--input", str(array)) if command == "infer" else ()))
        assert run(words, environ=os.environ) == 1
        assert set(agent.calls) == {"Hello"}
    assert "net takes 193 MiB at its peak" in capsys.readouterr().err
