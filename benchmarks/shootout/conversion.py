# SPDX-License-Identifier: Apache-2.0
"""Each runtime's files for each model, made once: a folder's name holds a digest of all that it was made from."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from shootout.environments import BENCHMARKS, EXPORT, PROJECT, run_module
from shootout.peers import Peer

_SHOOTOUT = BENCHMARKS / "shootout"
_HOST = BENCHMARKS.parent / "host" / "edgectl"
_MODEL_SOURCES = (_SHOOTOUT / "models.py", _SHOOTOUT / "assets.py")


def assets_of(model: str, cache: Path) -> Path:
    """The folder with the model's weights, inputs and expected output.

    Raises:
        UnavailableError: see `environments.run_module`; likewise below.
    """

    def make(folder: Path) -> None:
        run_module(PROJECT, "shootout.assets", model, folder, cache=cache)

    return _kept(cache / "models", f"{model}-{_digest(_MODEL_SOURCES)}", make)


def converted(peer: Peer, model: str, precision: str, cache: Path) -> Path:
    """The folder with the peer's files for the model in that precision."""
    assets = assets_of(model, cache)
    source = _onnx_of(model, assets, cache) if peer.needs_onnx else assets

    def make(folder: Path) -> None:
        print(f"converting {model} {precision} for {peer.title}", file=sys.stderr)
        run_module(peer.environment, peer.conversion, source, folder, precision, cache=cache)

    pins = " ".join(peer.environment.requirements)
    family = peer.conversion.rpartition(".")[2]
    return _kept(cache / "converted" / family, f"{model}-{precision}-{_digest(_sources(peer), pins)}", make)


def _onnx_of(model: str, assets: Path, cache: Path) -> Path:
    """The assets and the model as ONNX in one folder."""

    def make(folder: Path) -> None:
        shutil.copytree(assets, folder, dirs_exist_ok=True)
        run_module(EXPORT, "shootout.conversions.onnx_export", assets, folder, cache=cache)

    exporter = _SHOOTOUT / "conversions" / "onnx_export.py"
    pins = " ".join(EXPORT.requirements)
    return _kept(cache / "onnx", f"{model}-{_digest((*_MODEL_SOURCES, exporter), pins)}", make)


def _sources(peer: Peer) -> list[Path]:
    module = BENCHMARKS.joinpath(*peer.conversion.split(".")).with_suffix(".py")
    sources = [*_MODEL_SOURCES, module]
    if peer.environment is PROJECT:
        names = ("carrier", "materialize", "quantize", "state")
        sources += [_HOST / "compress" / f"{name}.py" for name in names]
        sources += [_HOST / "lower" / f"{name}.py" for name in ("program", "rewrites")]
    return sources


def _digest(sources: Iterable[Path], pins: str = "") -> str:
    content = hashlib.sha256(pins.encode())
    for source in sources:
        content.update(source.read_bytes())
    return content.hexdigest()[:12]


def _kept(parent: Path, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `parent/name`, made whole or not at all."""
    folder = parent / name
    if folder.is_dir():
        return folder
    unfinished = parent / f".{name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    make(unfinished)
    return unfinished.rename(folder)
