# SPDX-License-Identifier: Apache-2.0
"""A state in a folder: what it is as JSON, its tensors as safetensors. No pickle; nothing half-written; reading trusts
nothing, and finds damage by digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from edgectl_protos.errors import BundleError, UsageError

from edgectl.compress.checkpoint.graph_document import graph_document, graph_tensors, parameter_names, restored_graph
from edgectl.compress.data.example import Example, Signature
from edgectl.compress.quantize import QuantizationSpec
from edgectl.compress.reasons import first_line
from edgectl.compress.state import Edit, Frozen, ModelState

VERSION = 1
DOCUMENT_FILE = "state.json"
TENSORS_FILE = "tensors.safetensors"
MOST_DOCUMENT_BYTES = 256 << 20
_GRAPH, _MASK, _EXAMPLE, _QUANTIZATION = "graph/", "mask/", "example/", "quantization/"


def save_folder(path: Path, state: ModelState, example: Example, extra: Mapping[str, Any]) -> None:
    """Write a state into a folder that is new, or holds one already: whole, or not at all.

    Args:
        path: the folder; its parent is made.
        state: what is saved; its cache is not.
        example: how it is called.
        extra: plain JSON to keep beside it.

    Raises:
        UsageError: the folder holds something else, or cannot be written.
        CompileError: the graph holds what cannot be saved.
    """
    if path.exists() and not (path.is_dir() and ((path / DOCUMENT_FILE).is_file() or not any(path.iterdir()))):
        raise UsageError(f"{path} exists", expected="a new folder, or one that holds a result", action="choose another")
    document, tensors = _parts(state, example)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
        try:
            _write(staging, {**document, "extra": dict(extra)}, tensors)
            if path.exists():
                shutil.rmtree(path)
            staging.chmod(0o755)
            staging.rename(path)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror})", action="choose another folder") from error


def load_folder(path: Path) -> tuple[ModelState, Example, dict[str, Any]]:
    """The state in a folder, how it is called, and what was kept beside it.

    Raises:
        UsageError: there is no such folder, or it cannot be read.
        BundleError: it is damaged, or was never written by `save_folder`.
    """
    document = _read_document(path / DOCUMENT_FILE)
    tensors = _read_tensors(path / TENSORS_FILE, digest=document.get("tensors_digest"))
    try:
        state, example = _restored(document, tensors)
        extra = document["extra"]
        if not isinstance(extra, dict):
            raise TypeError("extra")
    except BundleError:
        raise
    except Exception as error:
        seen = f"{path} does not hold a saved state: {first_line(error)}"
        raise BundleError(seen, expected="a folder that edgectl saved") from error
    return state, example, extra


def state_digest(state: ModelState) -> str:
    """SHA-256 of everything of a state that decides what it computes."""
    document, tensors = _parts(state, Example.of(state))
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {list(tensors[name].shape)}".encode())
        digest.update(_bytes(tensors[name]))
    return digest.hexdigest()


def _parts(state: ModelState, example: Example) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    held = {_GRAPH + name: tensor for name, tensor in graph_tensors(state.graph).items()}
    held |= {_MASK + name: mask for name, mask in state.masks.items()}
    held |= {f"{_EXAMPLE}{index}": tensor for index, tensor in enumerate(state.example_inputs)}
    spec = state.quantization
    if spec is not None:
        held |= {_QUANTIZATION + name: tensor for name, tensor in spec.tensors().items()}
    tensors, aliases, strides = _unshared(held)
    document = {
        "version": VERSION,
        "graph": graph_document(state.graph),
        "parameters": parameter_names(state.graph),
        "aliases": aliases,
        "strides": strides,
        "example_inputs": len(state.example_inputs),
        "signature": {"positional": example.signature.positional, "keywords": list(example.signature.keywords)},
        "dynamic_batch": state.dynamic_batch,
        "batch_norm_dirty": state.batch_norm_dirty,
        "quantization": None if spec is None else spec.document(),
        "edits": [[edit.kind, dict(edit.parameters), edit.summary] for edit in state.edits],
        "frozen": [[one.place, one.stage, one.reason, one.channels] for one in state.frozen],
    }
    return document, tensors


def _unshared(
    held: Mapping[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, str], dict[str, list[int]]]:
    """Each tensor once, contiguous; the other names of tied ones; the strides of those that were not contiguous."""
    tensors: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    strides: dict[str, list[int]] = {}
    seen: dict[tuple[Any, ...], str] = {}
    for name, tensor in held.items():
        plain = tensor.detach().cpu()
        key = (plain.data_ptr(), plain.dtype, tuple(plain.shape), plain.stride())
        if plain.numel() and key in seen:
            aliases[name] = seen[key]
            continue
        seen[key] = name
        if not plain.is_contiguous():
            strides[name] = list(plain.stride())
        tensors[name] = plain.contiguous().clone()
    return tensors, aliases, strides


def _write(folder: Path, document: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save

    data = save(tensors)
    document["tensors_digest"] = hashlib.sha256(data).hexdigest()
    text = json.dumps(document, allow_nan=False, separators=(",", ":")) + "\n"
    for name, content in ((TENSORS_FILE, data), (DOCUMENT_FILE, text.encode())):
        with (folder / name).open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())


def _read_document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", expected="a folder that edgectl saved") from error
    if len(data) > MOST_DOCUMENT_BYTES:
        raise BundleError(f"{path} is larger than {MOST_DOCUMENT_BYTES} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is not JSON: {first_line(error)}", expected="a file that edgectl saved") from error
    if not isinstance(document, dict) or document.get("version") != VERSION:
        seen = document.get("version") if isinstance(document, dict) else type(document).__name__
        raise BundleError(f"{path} is of version {seen!r:.40}", expected=f"version {VERSION}")
    return document


def _read_tensors(path: Path, *, digest: object) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", expected="a folder that edgectl saved") from error
    seen = hashlib.sha256(data).hexdigest()
    if seen != digest:
        raise BundleError(f"{path} has the digest {seen[:12]}", expected=f"{digest!r:.16}, as when it was saved")
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise BundleError(f"{path} is not readable: {first_line(error)}", expected="safetensors") from error


def _restored(document: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> tuple[ModelState, Example]:
    for name, strides in document["strides"].items():
        tensors[name] = _strided(tensors[name], [int(step) for step in strides])
    for name, other in document["aliases"].items():
        tensors[name] = tensors[other]
    examples = tuple(tensors[f"{_EXAMPLE}{index}"] for index in range(int(document["example_inputs"])))
    parameters = frozenset(map(str, document["parameters"]))
    graph = restored_graph(
        document["graph"],
        _shared_parameters(_below(tensors, _GRAPH), parameters),
        parameters=parameters,
        example_inputs=examples,
        dynamic_batch=document["dynamic_batch"] is True,
    )
    quantization = document["quantization"]
    state = ModelState(
        graph,
        examples,
        quantization=None
        if quantization is None
        else QuantizationSpec.from_document(quantization, _below(tensors, _QUANTIZATION)),
        dynamic_batch=document["dynamic_batch"] is True,
        masks=_below(tensors, _MASK),
        batch_norm_dirty=document["batch_norm_dirty"] is True,
        edits=tuple(Edit(str(kind), dict(values), str(summary)) for kind, values, summary in document["edits"]),
        frozen=tuple(Frozen(str(a), str(b), str(c), d if d is None else int(d)) for a, b, c, d in document["frozen"]),
    )
    call = document["signature"]
    return state, Example.of(state, Signature(int(call["positional"]), tuple(map(str, call["keywords"]))))


def _strided(tensor: torch.Tensor, strides: list[int]) -> torch.Tensor:
    """The values in another layout of the same memory."""
    if sorted(strides, reverse=True) != strides and len(strides) == tensor.ndim and min(strides) > 0:
        reach = 1 + sum((size - 1) * step for size, step in zip(tensor.shape, strides, strict=True))
        if reach <= tensor.numel():
            return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)
    return tensor


def _shared_parameters(tensors: dict[str, torch.Tensor], parameters: frozenset[str]) -> dict[str, torch.Tensor]:
    """Tied parameters as one object, so that they are counted and trained once."""
    made: dict[int, torch.nn.Parameter] = {}
    for name in parameters & tensors.keys():
        tensor = tensors[name]
        made.setdefault(id(tensor), torch.nn.Parameter(tensor, requires_grad=False))
    return {name: made.get(id(one), one) if name in parameters else one for name, one in tensors.items()}


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _bytes(tensor: torch.Tensor) -> bytes:
    if not tensor.numel():
        return b""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
