# SPDX-License-Identifier: Apache-2.0
"""Bundles for tests: a small real program, its golden tensors, and any wish for something wrong in the manifest."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from edgectl.lower.bundle import write_members
from edgectl_protos.bundle import BundleInfo
from edgectl_protos.manifest import PROGRAM_MEMBER, GoldenCase, Manifest, Member, Requirements, Tolerance
from edgectl_protos.tensors import TensorSpec

from tests import programs
from tests.programs import golden_inputs, golden_outputs

RUNTIME = "executorch 1.5.1"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's file and what it holds."""

    path: Path
    info: BundleInfo

    @property
    def name(self) -> str:
        return self.info.manifest.name

    @property
    def digest(self) -> str:
        return self.info.digest


@cache
def program_directory() -> Path:
    """Where test programs are kept between test runs; another one when `tests/programs.py` changes."""
    key = hashlib.sha256(Path(programs.__file__).read_bytes()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"edgectl-test-programs-{os.getuid()}-{key}"


def make_bundle(
    directory: Path,
    program: Path,
    *,
    name: str = "model",
    version: str = "1",
    members: dict[str, bytes] | None = None,
    **changes: Any,
) -> Bundle:
    """`NAME-VERSION.edge` around `program`; `members` replace or add members, `changes` replace manifest fields."""
    contents, case = _contents(program)
    contents |= members or {}
    manifest = Manifest(
        name=name,
        version=version,
        members={path: Member(hashlib.sha256(data).hexdigest(), len(data)) for path, data in contents.items()},
        inputs=tuple(_spec(path) for path in golden_inputs(program)),
        outputs=tuple(_spec(path) for path in golden_outputs(program)),
        requirements=Requirements(RUNTIME, (platform.machine(),), ()),
        golden=(case,),
        tolerance=Tolerance(absolute=1e-4, relative=1e-3),
        delegated_fraction=1.0,
    )
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}-{version}.edge"
    return Bundle(path, write_members(path, manifest=replace(manifest, **changes), contents=contents))


def npy_file(array: np.typing.NDArray[Any]) -> bytes:
    """The bytes of a .npy file."""
    stream = BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _contents(program: Path) -> tuple[dict[str, bytes], GoldenCase]:
    inputs = {f"golden/{path.name}": path.read_bytes() for path in golden_inputs(program)}
    outputs = {f"golden/{path.name}": path.read_bytes() for path in golden_outputs(program)}
    contents = {PROGRAM_MEMBER: program.read_bytes(), **inputs, **outputs}
    return contents, GoldenCase(tuple(inputs), tuple(outputs))


def _spec(path: Path) -> TensorSpec:
    array = np.load(path, allow_pickle=False)
    return TensorSpec(str(array.dtype), array.shape)
