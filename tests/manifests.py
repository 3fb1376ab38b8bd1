# SPDX-License-Identifier: Apache-2.0
"""Bundles without a real program, for tests of the format, and zips by hand where our writer would refuse."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgectl.lower.bundle import write_members
from edgectl_protos.bundle import BundleInfo
from edgectl_protos.manifest import (
    MANIFEST_MEMBER,
    GoldenCase,
    Manifest,
    Member,
    Requirements,
    Tolerance,
    serialize_manifest,
)
from edgectl_protos.tensors import TensorSpec

RUNTIME = "executorch 1.5.1"
CONTENTS = {
    "model.pte": bytes(range(256)) * 4,
    "golden/0/input_0.npy": b"input" * 20,
    "golden/0/output_0.npy": b"output" * 20,
}


def small_manifest(contents: dict[str, bytes] | None = None) -> Manifest:
    """The manifest of `CONTENTS` (or of other members), for a program float32 [1, 2] -> float32 [1, 2]."""
    members = CONTENTS if contents is None else contents
    return Manifest(
        name="net",
        version="1.0",
        members={name: Member(hashlib.sha256(data).hexdigest(), len(data)) for name, data in members.items()},
        inputs=(TensorSpec("float32", (1, 2)),),
        outputs=(TensorSpec("float32", (1, 2)),),
        requirements=Requirements("executorch 1.5.1", ("x86_64", "aarch64"), ("XnnpackBackend",)),
        golden=(GoldenCase(("golden/0/input_0.npy",), ("golden/0/output_0.npy",)),),
        tolerance=Tolerance(absolute=1e-4, relative=1e-3),
        delegated_fraction=1.0,
        labels=("zero", "one"),
        provenance={"recipe": {"name": "net"}},
    )


def small_document() -> dict[str, Any]:
    """`small_manifest` as the JSON document it is written as."""
    document: dict[str, Any] = json.loads(serialize_manifest(small_manifest()))
    return document


def small_bundle(path: Path) -> BundleInfo:
    """A whole bundle at `path`, whose program is no program."""
    return write_members(path, manifest=small_manifest(), contents=CONTENTS)


def write_zip(path: Path, members: Sequence[tuple[str, bytes]], *, method: int = zipfile.ZIP_STORED) -> Path:
    """A zip with exactly these members, in this order, twice the same name where asked."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return path


def whole_members() -> list[tuple[str, bytes]]:
    """The manifest and members of the small bundle, to be bent by a test."""
    return [(MANIFEST_MEMBER, serialize_manifest(small_manifest())), *CONTENTS.items()]
