# SPDX-License-Identifier: Apache-2.0
"""The programs of the set on disk: built once, kept by what they are made from, each with inputs and eager outputs."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

PROGRAM_FILE = "model.pte"
_SOURCES = ("cases.py", "flow.py")
_PACKAGES = ("torch", "torchao", "executorch")


@dataclass(frozen=True, slots=True)
class Asset:
    """A program of a case in one precision; `inputs` and `outputs` are .npy files, the outputs those of eager torch."""

    case: str
    family: str
    precision: str
    program: Path
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]

    @property
    def name(self) -> str:
        return f"{self.case}-{self.precision}"


def assets(
    folder: Path, wanted: Callable[[str, str, str], bool], *, on_built: Callable[[str], None] = lambda _: None
) -> tuple[Asset, ...]:
    """The programs that `wanted(case, family, precision)` takes; what is not in `folder` yet is built. Needs torch."""
    from conformance_set.cases import cases

    home = folder / _key()
    found = []
    for case in cases():
        for precision in case.precisions:
            if not wanted(case.name, case.family, precision):
                continue
            place = home / f"{case.name}-{precision}"
            if not place.is_dir():
                from conformance_set.flow import build

                data, inputs, outputs = build(case, precision)
                on_built(place.name)
                _keep(place, data, [one.numpy() for one in inputs], [one.numpy() for one in outputs])
            found.append(_asset(place, case.name, case.family, precision))
    return tuple(found)


def load(paths: Sequence[Path]) -> list[Array]:
    return [np.load(path, allow_pickle=False) for path in paths]


def _key() -> str:
    """Of the sources and the versions that programs are made by."""
    made_by = hashlib.sha256()
    for source in _SOURCES:
        made_by.update(Path(__file__).with_name(source).read_bytes())
    made_by.update(" ".join(metadata.version(package) for package in _PACKAGES).encode())
    return made_by.hexdigest()[:12]


def _keep(place: Path, data: bytes, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".") as staging:
        whole = Path(staging, "program")
        whole.mkdir()
        (whole / PROGRAM_FILE).write_bytes(data)
        for role, arrays in (("input", inputs), ("output", outputs)):
            for index, array in enumerate(arrays):
                np.save(whole / f"{role}{index}.npy", np.ascontiguousarray(array))
        whole.rename(place)


def _asset(place: Path, case: str, family: str, precision: str) -> Asset:
    inputs, outputs = (
        tuple(sorted(place.glob(f"{role}*.npy"), key=lambda path: int(path.stem.removeprefix(role))))
        for role in ("input", "output")
    )
    return Asset(case, family, precision, place / PROGRAM_FILE, inputs, outputs)
