# SPDX-License-Identifier: Apache-2.0
"""Writing `NAME-VERSION.edge`. The same inputs give the same bytes; the file appears whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgectl_protos.bundle import BundleInfo, open_bundle
from edgectl_protos.errors import BundleError, UsageError
from edgectl_protos.manifest import (
    MANIFEST_MEMBER,
    PROGRAM_MEMBER,
    Budgets,
    GoldenCase,
    Manifest,
    Member,
    Requirements,
    Tolerance,
    parse_manifest,
    serialize_manifest,
)

from edgectl.lower.golden import GoldenTensors, npy_bytes
from edgectl.lower.program import LoweredProgram, runtime_version
from edgectl.lower.target_check import check_target
from edgectl.targets import Target

_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_MODE = 0o100644 << 16
_WORTH_DEFLATING = 0.95


def write_bundle(
    path: Path,
    *,
    program: LoweredProgram,
    name: str,
    version: str,
    golden: tuple[GoldenTensors, ...],
    tolerance: Tolerance,
    labels: tuple[str, ...],
    target: Target,
    provenance: Mapping[str, Any],
    budgets: Budgets | None = None,
) -> BundleInfo:
    """Write the bundle, read it back, verify it, and only then put it in place of `path`.

    `provenance` is plain JSON without times of day: equal inputs are to give equal bytes.

    Raises:
        UsageError: the name, the version, a golden tensor or the provenance is unfit, or the file cannot be written.
        CompileError: the target has not the memory for the program.
    """
    fit = check_target(program, target)
    contents, cases = _contents(program, golden)
    manifest = Manifest(
        name=name,
        version=version,
        members={member: Member(hashlib.sha256(data).hexdigest(), len(data)) for member, data in contents.items()},
        inputs=program.inputs,
        outputs=program.outputs,
        requirements=Requirements(
            runtime_version(), target.architectures, program.delegates, memory_bytes=fit.peak_bytes or None
        ),
        golden=cases,
        tolerance=tolerance,
        delegated_fraction=program.delegation.fraction,
        undelegated=tuple(program.delegation.undelegated),
        labels=labels,
        budgets=budgets or Budgets(),
        provenance=dict(provenance),
    )
    return write_members(path, manifest=manifest, contents=contents)


def write_members(path: Path, *, manifest: Manifest, contents: Mapping[str, bytes]) -> BundleInfo:
    """The file for a manifest and the bytes of its members; see `write_bundle`."""
    try:
        header = serialize_manifest(manifest)
        parse_manifest(header)
    except (TypeError, ValueError, BundleError) as error:
        raise UsageError(
            f"no manifest can be written ({error})", expected="plain JSON, and names a device takes"
        ) from error
    temporary: Path | None = None
    try:
        handle, text = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(text)
        with os.fdopen(handle, "wb") as stream:
            _write_zip(stream, {MANIFEST_MEMBER: header, **dict(sorted(contents.items()))})
            stream.flush()
            os.fsync(stream.fileno())
        with open_bundle(temporary) as bundle:
            bundle.verify()
            info = bundle.info
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror or error})", action="choose a folder that exists and has room"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return info


def _contents(
    program: LoweredProgram, golden: tuple[GoldenTensors, ...]
) -> tuple[dict[str, bytes], tuple[GoldenCase, ...]]:
    contents = {PROGRAM_MEMBER: program.data}
    cases = []
    for index, case in enumerate(golden):
        inputs = {f"golden/{index}/input_{place}.npy": npy_bytes(array) for place, array in enumerate(case.inputs)}
        outputs = {f"golden/{index}/output_{place}.npy": npy_bytes(array) for place, array in enumerate(case.outputs)}
        contents |= inputs | outputs
        cases.append(GoldenCase(tuple(inputs), tuple(outputs)))
    return contents, tuple(cases)


def _write_zip(stream: Any, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system = _UNIX
            entry.external_attr = _MODE
            small = len(zlib.compress(data, 6)) < _WORTH_DEFLATING * len(data)
            entry.compress_type = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
            archive.writestr(entry, data, compresslevel=6)
