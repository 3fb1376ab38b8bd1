# SPDX-License-Identifier: Apache-2.0
"""The bundle's manifest: parsed once from hostile bytes into frozen dataclasses, then trusted.

The manifest names every member of the bundle with its SHA-256, so the digest of the manifest's bytes is the digest of
the bundle.
`serialize_manifest` is canonical: equal manifests give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from edgectl_protos.errors import BundleError, EdgectlError, IncompatibleBundleError
from edgectl_protos.tensors import TensorSpec
from edgectl_protos.topics import check_name

SCHEMA_VERSION = 1
MANIFEST_MEMBER = "manifest.json"
PROGRAM_MEMBER = "model.pte"
MAX_MANIFEST_BYTES = 1 << 20
MAX_GOLDEN_CASES = 64
MAX_TEXT = 1000

_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the bundle: SHA-256 (lower-case hex) and unpacked size in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """Member paths of .npy inputs and of the outputs the program must give for them."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """An output passes when |given - golden| <= absolute + relative * |golden|, item by item."""

    absolute: float
    relative: float


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a device must have.

    Of the runtime, `executorch MAJOR.MINOR.PATCH`, major and minor must agree. `memory_bytes` is the estimated peak of
    the program's process; None where nobody estimated it.
    """

    runtime: str
    architectures: tuple[str, ...]
    delegates: tuple[str, ...]
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits the device holds the program to; None where there is none."""

    p95_ms: float | None = None
    peak_rss_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a device needs to know before it runs the program.

    `delegated_fraction` is compute operators inside a delegate over all compute operators; `undelegated` names the
    others. `provenance` is free JSON for people and tools: recipe, versions, measured results.
    """

    name: str
    version: str
    members: dict[str, Member]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    requirements: Requirements
    golden: tuple[GoldenCase, ...]
    tolerance: Tolerance
    delegated_fraction: float
    undelegated: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    budgets: Budgets = Budgets()
    provenance: dict[str, Any] = field(default_factory=dict)


def serialize_manifest(manifest: Manifest) -> bytes:
    """Canonical JSON: sorted keys, no spaces, ASCII, a newline at the end."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "name": manifest.name,
        "version": manifest.version,
        "members": {
            path: {"sha256": member.sha256, "bytes": member.bytes} for path, member in manifest.members.items()
        },
        "inputs": [_spec_document(spec) for spec in manifest.inputs],
        "outputs": [_spec_document(spec) for spec in manifest.outputs],
        "requirements": {
            "runtime": manifest.requirements.runtime,
            "architectures": list(manifest.requirements.architectures),
            "delegates": list(manifest.requirements.delegates),
            "memory_bytes": manifest.requirements.memory_bytes,
        },
        "golden": [{"inputs": list(case.inputs), "outputs": list(case.outputs)} for case in manifest.golden],
        "tolerance": {"absolute": manifest.tolerance.absolute, "relative": manifest.tolerance.relative},
        "delegated_fraction": manifest.delegated_fraction,
        "undelegated": list(manifest.undelegated),
        "labels": list(manifest.labels),
        "budgets": {"p95_ms": manifest.budgets.p95_ms, "peak_rss_bytes": manifest.budgets.peak_rss_bytes},
        "provenance": manifest.provenance,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def manifest_digest(data: bytes) -> str:
    """SHA-256 of the manifest's bytes, lower-case hex: the digest of the bundle."""
    return hashlib.sha256(data).hexdigest()


def parse_manifest(data: bytes) -> Manifest:
    """The manifest in `data`.

    Raises:
        BundleError: too long, not JSON, of another schema version, or a field is missing or wrong.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        _damaged(f"a manifest of {len(data)} bytes", f"at most {MAX_MANIFEST_BYTES}")
    reader = _Reader(_parse_json(data), "manifest")
    version = reader.integer("schema_version")
    if version != SCHEMA_VERSION:
        raise IncompatibleBundleError(
            f"manifest schema version {version}",
            expected=str(SCHEMA_VERSION),
            action="use the edgectl that wrote the bundle",
        )
    try:
        manifest = _build(reader)
    except BundleError:
        raise
    except EdgectlError as error:
        raise BundleError(
            f"the manifest: {error.seen}", expected=error.expected, action="build the bundle again"
        ) from error
    _check_references(manifest)
    return manifest


def _parse_json(data: bytes) -> Any:
    """JSON as RFC 8259 has it: UTF-8, no NaN, no key twice, no lone surrogates; shallow enough to be written again."""
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_distinct)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BundleError(f"the manifest is not JSON ({error})", action="build the bundle again") from error
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("an object names a key twice")
    return document


def _build(reader: _Reader) -> Manifest:
    members = reader.child("members")
    requirements = reader.child("requirements")
    tolerance = reader.child("tolerance")
    budgets = reader.child("budgets")
    return Manifest(
        name=check_name(reader.text("name"), what="model name"),
        version=check_name(reader.text("version"), what="model version"),
        members={path: _member(members.child(path), path) for path in members.document},
        inputs=tuple(_spec(entry) for entry in reader.children("inputs")),
        outputs=tuple(_spec(entry) for entry in reader.children("outputs")),
        requirements=Requirements(
            runtime=requirements.text("runtime"),
            architectures=requirements.texts("architectures"),
            delegates=requirements.texts("delegates"),
            memory_bytes=requirements.optional_integer("memory_bytes"),
        ),
        golden=tuple(GoldenCase(case.texts("inputs"), case.texts("outputs")) for case in reader.children("golden")),
        tolerance=Tolerance(tolerance.number("absolute"), tolerance.number("relative")),
        delegated_fraction=reader.number("delegated_fraction", most=1.0),
        undelegated=reader.texts("undelegated"),
        labels=reader.texts("labels"),
        budgets=Budgets(budgets.optional_number("p95_ms"), budgets.optional_integer("peak_rss_bytes")),
        provenance=reader.child("provenance").document,
    )


def _check_references(manifest: Manifest) -> None:
    if PROGRAM_MEMBER not in manifest.members:
        _damaged(f"no member {PROGRAM_MEMBER}", "every bundle to hold a program")
    if len(manifest.golden) > MAX_GOLDEN_CASES:
        _damaged(f"{len(manifest.golden)} golden cases", f"at most {MAX_GOLDEN_CASES}")
    for path in manifest.members:
        if any(path.startswith(f"{other}/") for other in manifest.members):
            _damaged(f"member {path!r} below another member", "a file or a folder of that name, not both")
    for case in manifest.golden:
        missing = [path for path in case.inputs + case.outputs if path not in manifest.members]
        if missing:
            _damaged(f"golden member {missing[0]!r} is not in the bundle", "every golden tensor to be a member")
        if len(case.inputs) != len(manifest.inputs) or len(case.outputs) != len(manifest.outputs):
            _damaged("a golden case with another number of tensors than the program", "one for each input and output")


def check_device_fits(manifest: Manifest, *, runtime: str, architecture: str, delegates: tuple[str, ...]) -> None:
    """Refuse a bundle this device cannot run.

    Raises:
        IncompatibleBundleError: the runtime's major or minor version, the architecture or a delegate differs.
    """
    wanted = manifest.requirements
    if _minor(wanted.runtime) != _minor(runtime):
        raise IncompatibleBundleError(
            f"the bundle was lowered for {wanted.runtime}",
            expected=f"{runtime}, which this device runs",
            action="lower the model again with that version, or update the agent",
        )
    if architecture not in wanted.architectures:
        raise IncompatibleBundleError(
            f"the bundle was lowered for {', '.join(wanted.architectures) or 'no architecture'}",
            expected=f"{architecture}, which this device is",
            action="lower the model again for a target of that architecture",
        )
    missing = [name for name in wanted.delegates if name not in delegates]
    if missing:
        raise IncompatibleBundleError(
            f"the program needs the delegate {missing[0]}",
            expected=f"one this device has: {', '.join(delegates) or 'none'}",
            action="lower the model again without it",
        )


def _minor(runtime: str) -> str:
    return ".".join(runtime.split(".")[:2])


def _spec_document(spec: TensorSpec) -> dict[str, Any]:
    return {"dtype": spec.dtype, "shape": list(spec.shape)}


def _spec(entry: _Reader) -> TensorSpec:
    return TensorSpec(entry.text("dtype"), entry.integers("shape"))


def _member(entry: _Reader, path: str) -> Member:
    if len(path) > 200 or not _PATH.fullmatch(path) or path == MANIFEST_MEMBER:
        _damaged(f"member name {path[:80]!r}", "a relative path of plain names")
    sha256 = entry.text("sha256")
    size = entry.integer("bytes")
    if not _SHA256.fullmatch(sha256) or size < 0:
        _damaged(f"member {path!r} with sha256 {sha256[:80]!r} and {size} bytes", "64 hex digits and a size")
    return Member(sha256, size)


def _damaged(seen: str, expected: str) -> NoReturn:
    raise BundleError(seen, expected=expected, action="build the bundle again")


class _Reader:
    """Typed access to parsed JSON; anything missing or of the wrong type is a `BundleError` that names the field."""

    def __init__(self, document: Any, where: str) -> None:
        if not isinstance(document, dict):
            _damaged(f"{where} is {type(document).__name__}", "an object")
        self.document: dict[str, Any] = document
        self._where = where

    def _get(self, key: str, kind: type | tuple[type, ...], name: str) -> Any:
        value = self.document.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            _damaged(f"{self._where}.{key} is {type(value).__name__}", name)
        return value

    def text(self, key: str) -> str:
        value = self._get(key, str, "a string")
        self._check_text(key, value)
        return str(value)

    def integer(self, key: str) -> int:
        return int(self._get(key, int, "an integer"))

    def number(self, key: str, *, most: float = math.inf) -> float:
        """A finite number of at least zero, since every number of a manifest is a limit, a distance or a fraction."""
        value = self._get(key, (int, float), "a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number) or not 0.0 <= number <= most:
            _damaged(f"{self._where}.{key} is {number:g}", f"a finite number from 0 to {most:g}")
        return number

    def optional_number(self, key: str) -> float | None:
        return None if self.document.get(key) is None else self.number(key)

    def optional_integer(self, key: str) -> int | None:
        if self.document.get(key) is None:
            return None
        value = self.integer(key)
        if value < 0:
            _damaged(f"{self._where}.{key} is {value}", "a whole number, not negative")
        return value

    def _check_text(self, key: str, value: str) -> None:
        if len(value) > MAX_TEXT or not value.isprintable():
            _damaged(f"{self._where}.{key} is {value[:80]!a}", f"at most {MAX_TEXT} printable characters")

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._get(key, list, "a list of strings")
        if not all(isinstance(value, str) for value in values):
            _damaged(f"{self._where}.{key} holds something else", "a list of strings")
        for value in values:
            self._check_text(key, value)
        return tuple(values)

    def integers(self, key: str) -> tuple[int, ...]:
        values = self._get(key, list, "a list of integers")
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            _damaged(f"{self._where}.{key} holds something else", "a list of integers")
        return tuple(values)

    def child(self, key: str) -> _Reader:
        return _Reader(self.document.get(key), f"{self._where}.{key}")

    def children(self, key: str) -> list[_Reader]:
        values = self._get(key, list, "a list of objects")
        return [_Reader(value, f"{self._where}.{key}[{index}]") for index, value in enumerate(values)]
