# SPDX-License-Identifier: Apache-2.0
"""Where programs are run: the runner on this machine, the boards' runner under qemu-user, an agent over gRPC."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgectl.config import Paths
from edgectl.emulate.user_mode import prepare_emulated
from edgectl.lower.bundle import write_members
from edgectl.targets import Target, load_target, target_names
from edgectl_protos.errors import EdgectlError
from edgectl_protos.manifest import PROGRAM_MEMBER, GoldenCase, Manifest, Member, Requirements, Tolerance
from edgectl_protos.tensors import TensorSpec

from conformance_set.assets import Array, Asset, load

if TYPE_CHECKING:
    from edgectl.lab.client import AgentClient

RUN_SECONDS = 120.0
RUNTIME = "executorch 1.5.1"
_ANYTHING = 1e30


class Unrunnable(Exception):  # noqa: N818 - a finding about a program
    """A place did not run a program; the text says why."""


class Place(Protocol):
    """Somewhere a program can be run."""

    @property
    def name(self) -> str: ...

    def run(self, asset: Asset) -> list[Array]:
        """The outputs for the asset's inputs, or `Unrunnable`."""


class Runner:
    """`edge-runner` by a command: on this machine, or under an emulator."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._command = list(command)
        self._environment = environment

    def run(self, asset: Asset) -> list[Array]:
        with tempfile.TemporaryDirectory() as folder:
            words = [*self._command, "run", str(asset.program), "--threads", "1", "--output-dir", folder]
            words += [word for path in asset.inputs for word in ("--input", str(path))]
            try:
                done = subprocess.run(
                    words, capture_output=True, text=True, timeout=RUN_SECONDS, check=False, env=self._environment
                )
            except subprocess.TimeoutExpired as error:
                raise Unrunnable(f"no answer within {RUN_SECONDS:g} s") from error
            if done.returncode != 0:
                raise Unrunnable(" ".join(done.stderr.split())[-500:] or f"ended with status {done.returncode}")
            return load([Path(folder, f"output{index}.npy") for index in range(len(asset.outputs))])


class Device:
    """A device of the lab: each program is sent in a bundle of its own, made active and asked."""

    def __init__(self, name: str, client: AgentClient) -> None:
        self.name = name
        self._client = client

    def run(self, asset: Asset) -> list[Array]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "conformance.edge")
            write_bundle(path, asset)
            try:
                placed = self._client.put_bundle(path)
                self._client.activate(placed.name, placed.digest)
                return list(self._client.infer(placed.name, load(asset.inputs)).outputs)
            except EdgectlError as error:
                raise Unrunnable(error.message[:500]) from error


def write_bundle(path: Path, asset: Asset) -> None:
    """The asset as a bundle whose gate lets any finite answer pass: what it is worth is found out here."""
    golden = [{f"golden/{file.name}": file.read_bytes() for file in files} for files in (asset.inputs, asset.outputs)]
    contents = {PROGRAM_MEMBER: asset.program.read_bytes(), **golden[0], **golden[1]}
    specs = [
        tuple(TensorSpec(str(array.dtype), array.shape) for array in load(files))
        for files in (asset.inputs, asset.outputs)
    ]
    manifest = Manifest(
        name="conformance",
        version=asset.name,
        members={name: Member(hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents.items()},
        inputs=specs[0],
        outputs=specs[1],
        requirements=Requirements(RUNTIME, ("x86_64", "aarch64"), ()),
        golden=(GoldenCase(tuple(golden[0]), tuple(golden[1])),),
        tolerance=Tolerance(_ANYTHING, 0.0),
        delegated_fraction=1.0,
    )
    write_members(path, manifest=manifest, contents=contents)


def emulated_runners(paths: Paths, environ: Mapping[str, str], *, wanted: Callable[[str], bool]) -> list[Runner]:
    """The boards' runner under qemu-user, once for each processor core of the targets that `wanted(core)` takes."""
    boards: dict[str, Target] = {}
    for target in map(load_target, target_names()):
        if target.processor is not None and wanted(target.processor.core):
            boards.setdefault(target.processor.core, target)
    return [_emulated(core, boards[core], paths, environ) for core in sorted(boards)]


def _emulated(core: str, target: Target, paths: Paths, environ: Mapping[str, str]) -> Runner:
    made = prepare_emulated(target, paths=paths, environ=environ)
    settings = tomllib.loads(made.emulator.read_text(encoding="utf-8"))
    command = [settings["program"], "-cpu", settings["core"], "-L", settings["sysroot"], str(made.runner)]
    return Runner(core, command, environment={})
