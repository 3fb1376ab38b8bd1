# SPDX-License-Identifier: Apache-2.0
"""What stages made, kept by content: an interrupted or edited run does again only what changed.

A stage's key is the digest of the one before it, its kind, name and parameters; the first of the model, the data, the
seed and the versions. An entry is a folder as `checkpoint.folder` writes it. The oldest go where there are too many.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from edgectl_protos.errors import BundleError, CompileError, UsageError

from edgectl import __version__
from edgectl.compress.checkpoint.folder import load_folder, save_folder, state_digest
from edgectl.compress.data.example import Example, Signature
from edgectl.compress.evaluation.judging import Judged
from edgectl.compress.stages import Stage, stage_document
from edgectl.compress.state import ModelState

MOST_BYTES = 4 << 30
FOLDER = "stages"


class StageCache:
    """Entries below a folder, which may be deleted at any time.

    Args:
        root: edgectl's cache folder; made when something is kept.
        most_bytes: what all entries may take together.
    """

    def __init__(self, root: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder = root / FOLDER
        self._most_bytes = most_bytes

    def load(self, key: str) -> tuple[ModelState, dict[str, Any]] | None:
        """What is kept under a key; None where nothing is, or what is there is damaged."""
        path = self._folder / key
        if not path.is_dir():
            return None
        try:
            state, _, extra = load_folder(path)
        except (BundleError, UsageError):
            shutil.rmtree(path, ignore_errors=True)
            return None
        with suppress(OSError):
            os.utime(path)
        return state, extra

    def store(self, key: str, state: ModelState, signature: Signature | None, extra: Mapping[str, Any]) -> None:
        """Keep a state; where it cannot be saved or there is no room, it is not kept."""
        with suppress(UsageError, CompileError, OSError):
            save_folder(self._folder / key, state, Example.of(state, signature), extra)
            self._make_room(key)

    def _make_room(self, newest: str) -> None:
        entries = [path for path in self._folder.iterdir() if path.is_dir()]
        sizes = {path: sum(file.stat().st_size for file in path.iterdir()) for path in entries}
        total = sum(sizes.values())
        for path in sorted(entries, key=lambda entry: entry.stat().st_mtime):
            if total <= self._most_bytes:
                break
            if path.name != newest or sizes[path] > self._most_bytes:
                shutil.rmtree(path, ignore_errors=True)
                total -= sizes[path]


def first_key(state: ModelState, *, data: str, seed: int) -> str:
    """The key of a run before its first stage.

    Raises:
        CompileError: the graph holds what cannot be saved, so nothing of this run can be kept.
    """
    versions = {name: metadata.version(name) for name in ("torch", "torchao", "executorch")}
    parts = {"state": state_digest(state), "data": data, "seed": seed, "versions": {**versions, "edgectl": __version__}}
    return _digest(parts)


def next_key(key: str, stage: Stage) -> str:
    """The key of what a stage makes of what `key` stands for."""
    return _digest({"before": key, "kind": stage.kind, "name": stage.name, "values": stage_document(stage.parameters)})


def judged_document(judged: Judged) -> dict[str, Any]:
    """A judgement as plain JSON."""
    correct = None if judged.correct is None else "".join("1" if right else "0" for right in judged.correct)
    return {"metrics": dict(judged.metrics), "per_class": dict(judged.per_class), "correct": correct}


def judged_of(document: Mapping[str, Any]) -> Judged:
    """The judgement that `judged_document` wrote."""
    correct = document["correct"]
    return Judged(
        {str(name): float(value) for name, value in document["metrics"].items()},
        None if correct is None else np.array([one == "1" for one in correct], dtype=np.bool_),
        {str(name): float(value) for name, value in document["per_class"].items()},
    )


def _digest(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
