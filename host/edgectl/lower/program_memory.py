# SPDX-License-Identifier: Apache-2.0
"""What memory a program will take on a device, read from its bytes before any device has it. Needs executorch.

A program is resident twice. While it loads, its file is mapped and the delegate copies every weight into the layout its
kernels want ("packing"); the file's pages go when that is done. While it runs, the delegate holds the packed weights,
one pointer per kernel tap and output pixel for each convolution ("indirection"), and a workspace for what flows
between its operators; the arena that ExecuTorch planned comes on top. The peak is the larger of the two.
docs/targets.md says how far the estimate was from measured peaks.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import Any

# `edge-runner` with its libraries and a program of a few kilobytes: 6.7 to 7.0 MB on x86_64.
RUNNER_BYTES = 7_000_000
XNNPACK = "XnnpackBackend"

_POINTER_BYTES = 8
_HEADER_BYTES = 30
_NO_VALUE = 0xFFFFFFFF
_EXTERNAL_FLAGS = 0b11
_NOT_FINITE = re.compile(r"(: |\[|, )[+-]?(?:inf|nan)\b")  # flatc writes bounds that are none so, which is no JSON
_BITS = {
    "fp32": 32, "pfp32": 32, "qint32": 32, "qcint32": 32, "int32": 32, "fp16": 16, "bf16": 16, "qint8": 8, "quint8": 8,
    "qcint8": 8, "qdint8": 8, "qpint8": 8, "qcint4": 4, "qbint4": 4,
}  # fmt: skip
_DTYPES = {
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
    "qint8": "int8",
    "qcint8": "int8",
    "qdint8": "int8",
}
_DTYPES |= {"qcint4": "int4", "qbint4": "int4", "qint32": "int32", "qcint32": "int32"}
_CONVOLUTIONS = ("XNNConv2d", "XNNDepthwiseConv2d", "XNNConvTranspose2d")
_POOLINGS = ("XNNAvgPooling2d", "XNNMaxPooling2d", "XNNArgMaxPooling2d")
# These write to memory of their own. The rest go element by element: XNNPACK lets them write over an input that nobody
# else reads.
_NOT_IN_PLACE = (
    *_CONVOLUTIONS, *_POOLINGS, "XNNFullyConnected", "XNNBatchMatrixMultiply", "XNNScaledDotProductAttention",
    "XNNStaticTranspose", "XNNStaticConstantPad", "XNNStaticResizeBilinear2D", "XNNStaticSlice", "XNNSoftmax",
    "XNNGlobalAvgPooling2d", "XNNConcatenate2", "XNNConcatenate3", "XNNConcatenate4", "XNNConcatenate5",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DelegateNeeds:
    """Of one delegate, in bytes: the weights it copies, its convolutions' pointers and its workspace at the most."""

    packed_bytes: int
    indirection_bytes: int
    workspace_bytes: int
    dtypes: frozenset[str]


@dataclass(frozen=True, slots=True)
class ProgramMemory:
    """Of a program, in bytes: its file, the planned arena and its delegates' needs; and the element types it uses.

    Delegates run one after the other and share one workspace, so the largest counts.
    """

    program_bytes: int
    planned_bytes: int
    packed_bytes: int
    indirection_bytes: int
    workspace_bytes: int
    dtypes: tuple[str, ...]

    @property
    def load_bytes(self) -> int:
        """Resident while it loads."""
        return RUNNER_BYTES + self.program_bytes + self.packed_bytes

    @property
    def run_bytes(self) -> int:
        """Resident while it runs: what the delegates copied needs no page of the file any more."""
        rest = max(0, self.program_bytes - self.packed_bytes)
        delegates = self.packed_bytes + self.indirection_bytes + self.workspace_bytes
        return RUNNER_BYTES + rest + delegates + self.planned_bytes

    @property
    def peak_bytes(self) -> int:
        return max(self.load_bytes, self.run_bytes)


def program_memory(data: bytes) -> ProgramMemory:
    """What the program in `data`, a .pte that this executorch wrote, will take."""
    from executorch.exir._serialize import _deserialize_pte_binary
    from executorch.exir.schema import DataLocation, Tensor

    program = _deserialize_pte_binary(data).program
    plan = program.execution_plan[0]
    blobs = [
        program.backend_delegate_data[delegate.processed.index].data
        for delegate in plan.delegates
        if delegate.id == XNNPACK and delegate.processed.location == DataLocation.INLINE
    ]
    needs = [delegate_needs(_graph(bytes(blob))) for blob in blobs]
    tensors = [value.val for value in plan.values if isinstance(value.val, Tensor)]
    dtypes = {_dtype_name(tensor.scalar_type.name) for tensor in tensors}.union(*(need.dtypes for need in needs))
    return ProgramMemory(
        program_bytes=len(data),
        planned_bytes=sum(plan.non_const_buffer_sizes),
        packed_bytes=sum(need.packed_bytes for need in needs),
        indirection_bytes=sum(need.indirection_bytes for need in needs),
        workspace_bytes=max((need.workspace_bytes for need in needs), default=0),
        dtypes=tuple(sorted(dtypes)),
    )


def delegate_needs(graph: Mapping[str, Any]) -> DelegateNeeds:
    """The needs of one XNNPACK graph, given as its schema's JSON."""
    values = [_value(entry) for entry in graph["xvalues"]]
    sizes = {value["id_out"]: _value_bytes(value) for value in values if _internal(value)}
    shapes = {value["id_out"]: value["dims"] for value in values}
    nodes = [_Node(entry["xnode_union_type"], entry["xnode_union"]) for entry in graph["xnodes"]]
    return DelegateNeeds(
        packed_bytes=sum(entry["size"] for entry in graph["constant_data"]),
        indirection_bytes=sum(_indirection_bytes(node, shapes) for node in nodes),
        workspace_bytes=_workspace_bytes(nodes, sizes),
        dtypes=frozenset(_datatype(value) for value in values),
    )


class _Node:
    """An operator and the values it reads and writes."""

    def __init__(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.kind = kind
        self.fields = fields
        identifiers = {key: value for key, value in fields.items() if key.endswith("_id") and value != _NO_VALUE}
        self.writes = {value for key, value in identifiers.items() if key.startswith("output")}
        self.reads = set(identifiers.values()) - self.writes


def _workspace_bytes(nodes: Sequence[_Node], sizes: Mapping[int, int]) -> int:
    """The most bytes alive at once, from the first write of a value to its last read."""
    last = {value: place for place, node in enumerate(nodes) for value in node.reads | node.writes}
    alive: dict[int, int] = {}
    most = 0
    for place, node in enumerate(nodes):
        ending = {value for value in node.reads if value in alive and last[value] == place}
        if node.kind not in _NOT_IN_PLACE:
            for value in ending:
                if any(sizes.get(written) == sizes[value] for written in node.writes):
                    del alive[value]
                    break
        alive.update({value: sizes[value] for value in node.writes if value in sizes})
        most = max(most, sum(alive.values()))
        for value in [value for value in alive if last[value] == place]:
            del alive[value]
    return most


def _indirection_bytes(node: _Node, shapes: Mapping[int, Sequence[int]]) -> int:
    """Pointers to the input pixels of every output pixel, where the kernel gathers them.

    A 1 by 1 convolution reads its input in order and needs none; a resize has two weights beside its four pointers.
    """
    fields = node.fields
    if node.kind in _CONVOLUTIONS:
        taps = int(fields["kernel_height"] * fields["kernel_width"])
    elif node.kind in _POOLINGS:
        taps = int(fields["pooling_height"] * fields["pooling_width"])
    elif node.kind == "XNNStaticResizeBilinear2D":
        taps = 5
    else:
        return 0
    _, height, width, _ = shapes[fields["output_id"]]
    return 0 if taps == 1 else _POINTER_BYTES * taps * int(height) * int(width)


def _value(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    union: Mapping[str, Any] = entry["xvalue_union"]
    tensor: Mapping[str, Any] = union.get("tensor_value", union)
    return tensor


def _internal(value: Mapping[str, Any]) -> bool:
    return value["constant_buffer_idx"] == 0 and not value["flags"] & _EXTERNAL_FLAGS


def _value_bytes(value: Mapping[str, Any]) -> int:
    elements: int = prod(value["dims"])
    return ceil(elements * _BITS[_kind(value)] / 8)


def _datatype(value: Mapping[str, Any]) -> str:
    return _DTYPES.get(_kind(value), _kind(value))


def _kind(value: Mapping[str, Any]) -> str:
    return str(value["datatype"]).removeprefix("xnn_datatype_")


def _dtype_name(scalar_type: str) -> str:
    known = {"FLOAT": "float32", "HALF": "float16", "DOUBLE": "float64", "BYTE": "uint8", "CHAR": "int8"}
    known |= {"SHORT": "int16", "INT": "int32", "LONG": "int64"}
    return known.get(scalar_type, scalar_type.lower())


def _graph(blob: bytes) -> dict[str, Any]:
    """The XNNPACK graph in a delegate's payload, as JSON, by the flatc that executorch carries."""
    from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import XNNHeader, _get_schema_bytes
    from executorch.exir._serialize._flatbuffer import _flatc_decompile

    header = XNNHeader.from_bytes(blob[:_HEADER_BYTES])
    with tempfile.TemporaryDirectory(prefix="edgectl-") as folder:
        schema, binary = Path(folder, "schema.fbs"), Path(folder, "graph.bin")
        schema.write_bytes(_get_schema_bytes())
        binary.write_bytes(blob[header.flatbuffer_offset : header.flatbuffer_offset + header.flatbuffer_size])
        _flatc_decompile(folder, str(schema), str(binary), ["--raw-binary"])
        text = Path(folder, "graph.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(_NOT_FINITE.sub(r"\1null", text))
    return document
