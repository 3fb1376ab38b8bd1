# SPDX-License-Identifier: Apache-2.0
"""What `edgectl inspect` shows of a bundle. No torch: the manifest says it all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgectl_protos.bundle import OpenBundle, open_bundle
from edgectl_protos.errors import BundleError
from edgectl_protos.manifest import MANIFEST_MEMBER
from edgectl_protos.tensors import TensorSpec


def describe_bundle(path: Path) -> dict[str, Any]:
    """The bundle as plain JSON.

    `verified` is false where a member does not match the manifest, and `damage` then says which.

    Raises:
        BundleError: it is no bundle, or its manifest cannot be read.
    """
    with open_bundle(path) as bundle:
        manifest = bundle.info.manifest
        damage = _damage(bundle)
        return {
            "name": manifest.name,
            "version": manifest.version,
            "digest": bundle.info.digest,
            "verified": damage is None,
            "damage": damage,
            "file_bytes": path.stat().st_size,
            "members": _members(bundle),
            "inputs": [_spec(spec) for spec in manifest.inputs],
            "outputs": [_spec(spec) for spec in manifest.outputs],
            "requirements": {
                "runtime": manifest.requirements.runtime,
                "architectures": list(manifest.requirements.architectures),
                "delegates": list(manifest.requirements.delegates),
                "memory_bytes": manifest.requirements.memory_bytes,
            },
            "delegated_fraction": manifest.delegated_fraction,
            "undelegated": list(manifest.undelegated),
            "golden_cases": len(manifest.golden),
            "tolerance": {"absolute": manifest.tolerance.absolute, "relative": manifest.tolerance.relative},
            "labels": list(manifest.labels),
            "budgets": {"p95_ms": manifest.budgets.p95_ms, "peak_rss_bytes": manifest.budgets.peak_rss_bytes},
            "provenance": manifest.provenance,
        }


def _damage(bundle: OpenBundle) -> str | None:
    try:
        bundle.verify()
    except BundleError as error:
        return error.message
    return None


def _members(bundle: OpenBundle) -> dict[str, dict[str, int | str | None]]:
    return {
        entry.filename: {
            "bytes": entry.file_size,
            "stored_bytes": entry.compress_size,
            "sha256": None
            if entry.filename == MANIFEST_MEMBER
            else bundle.info.manifest.members[entry.filename].sha256,
        }
        for entry in sorted(bundle.archive.infolist(), key=lambda entry: entry.filename)
    }


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {"dtype": spec.dtype, "shape": list(spec.shape)}
