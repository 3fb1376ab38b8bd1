# SPDX-License-Identifier: Apache-2.0
"""A program that does not fit a target's memory is refused in one line; what runs badly there is remarked on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from edgectl.lower.delegation import DelegationReport
from edgectl.lower.program import Program
from edgectl.lower.program_memory import RUNNER_BYTES, ProgramMemory, delegate_needs
from edgectl.lower.target_check import check_target
from edgectl.targets import load_target
from edgectl_protos.errors import CompileError

MIB = 1 << 20
NONE = 0xFFFFFFFF  # XNNPACK's "no value"
MEMORY = ProgramMemory(
    program_bytes=10 * MIB,
    planned_bytes=1 * MIB,
    packed_bytes=9 * MIB,
    indirection_bytes=1 * MIB,
    workspace_bytes=2 * MIB,
    dtypes=("float32",),
)


def program(memory: ProgramMemory | None = MEMORY, **undelegated: int) -> Program:
    outside = {f"aten.{name}.default": count for name, count in undelegated.items()}
    return Program(b"", DelegationReport({"aten.convolution.default": 3}, outside), (), (), (), 0.0, memory=memory)


def test_loading_counts_the_file_and_its_packed_copy_and_running_what_flows() -> None:
    assert MEMORY.load_bytes == RUNNER_BYTES + 19 * MIB
    assert MEMORY.run_bytes == RUNNER_BYTES + (1 + 9 + 1 + 2 + 1) * MIB
    assert MEMORY.peak_bytes == MEMORY.load_bytes


def test_program_that_fits_tells_its_memory_and_the_targets() -> None:
    fit = check_target(program(), load_target("pi-zero-2w"))
    assert fit.peak_bytes == MEMORY.peak_bytes
    assert fit.lines() == ["peak memory 25.7 MiB (estimated) of 192.0 MiB for a program on pi-zero-2w"]
    assert fit.document()["remarks"] == []


@pytest.mark.parametrize(
    ("large", "part"),
    [
        (
            replace(MEMORY, program_bytes=100 * MIB, packed_bytes=99 * MIB),
            "weights packed beside it while it loads 99.0 MiB",
        ),
        (replace(MEMORY, workspace_bytes=300 * MIB), "activations 301.0 MiB"),
        (replace(MEMORY, indirection_bytes=300 * MIB), "convolutions' pointers 300.0 MiB"),
    ],
)
def test_program_too_large_for_the_smallest_board_is_refused_with_what_takes_the_memory(
    large: ProgramMemory, part: str
) -> None:
    with pytest.raises(CompileError) as caught:
        check_target(program(large), load_target("pi-zero-2w"))
    assert part in caught.value.message
    assert "expected at most 192.0 MiB, which pi-zero-2w has for a program" in caught.value.message
    assert "\n" not in caught.value.message
    check_target(program(large), load_target("pi4"))


def test_target_without_a_memory_size_and_a_program_without_one_pass() -> None:
    huge = replace(MEMORY, workspace_bytes=1 << 40)
    assert check_target(program(huge), load_target("generic")).document()["available_bytes"] is None
    assert check_target(program(None), load_target("pi-zero-2w")).peak_bytes == 0


def test_half_precision_is_remarked_on_where_the_processor_only_converts_it() -> None:
    half = program(replace(MEMORY, dtypes=("float16", "float32")))
    assert "float16 arithmetic: the Cortex-A72 only converts it" in check_target(half, load_target("pi4")).remarks[0]
    assert check_target(half, load_target("pi5")).remarks == ()
    assert check_target(half, load_target("generic")).remarks == ()


def test_operators_outside_the_delegate_are_named_in_one_sentence() -> None:
    (remark,) = check_target(program(cumsum=1, sort=2), load_target("pi4")).remarks
    assert remark.startswith("aten.cumsum.default, aten.sort.default run outside the delegate")
    assert "one of 4 cores" in remark
    many = program(MEMORY, **dict.fromkeys("abcdefghi", 1))
    (remark,) = check_target(many, load_target("generic")).remarks
    assert "and 4 more kinds" in remark
    assert "on one core" in remark


def value(identifier: int, dims: list[int], *, constant: int = 0, flags: int = 0, kind: str = "fp32") -> dict[str, Any]:
    tensor = {"id_out": identifier, "dims": dims, "constant_buffer_idx": constant, "flags": flags}
    return {"xvalue_union": tensor | {"datatype": f"xnn_datatype_{kind}"}}


def node(kind: str, **fields: int) -> dict[str, Any]:
    return {"xnode_union_type": kind, "xnode_union": fields}


def test_workspace_is_what_is_alive_at_once_and_constants_and_the_ends_are_not_in_it() -> None:
    graph = {
        "xvalues": [
            value(0, [1, 8, 8, 1], flags=1),
            value(1, [4, 3, 3, 1], constant=1),
            value(2, [1, 8, 8, 4]),
            value(3, [1, 8, 8, 4]),
            value(4, [1, 4, 4, 4]),
            value(5, [1, 4, 4, 4], flags=2),
        ],
        "xnodes": [
            node("XNNConv2d", input1_id=0, filter_id=1, bias_id=NONE, output_id=2, kernel_height=3, kernel_width=3),
            node("XNNClamp", input_id=2, output_id=3),
            node("XNNMaxPooling2d", input_id=3, output_id=4, pooling_height=2, pooling_width=2),
            node("XNNClamp", input_id=4, output_id=5),
        ],
        "constant_data": [{"size": 0}, {"size": 144}],
    }
    needs = delegate_needs(graph)
    assert needs.packed_bytes == 144
    assert needs.indirection_bytes == 8 * (9 * 64 + 4 * 16)
    assert needs.workspace_bytes == 4 * (256 + 64)  # the clamp writes over its input; pooling holds both
    assert needs.dtypes == {"float32"}


def test_value_read_again_later_is_not_written_over() -> None:
    graph = {
        "xvalues": [value(index, [1, 16], flags=1 if index == 0 else 0) for index in range(4)],
        "xnodes": [
            node("XNNAbs", input_id=0, output_id=1),
            node("XNNAbs", input_id=1, output_id=2),
            node("XNNAdd", input1_id=1, input2_id=2, output_id=3),
        ],
        "constant_data": [],
    }
    assert delegate_needs(graph).workspace_bytes == 2 * 64


def test_four_bits_take_half_a_byte_and_have_their_name() -> None:
    graph = {
        "xvalues": [value(0, [3, 5], flags=1), value(1, [3, 5], kind="qbint4")],
        "xnodes": [node("XNNConvert", input_id=0, output_id=1)],
        "constant_data": [],
    }
    needs = delegate_needs(graph)
    assert needs.workspace_bytes == 8
    assert needs.dtypes == {"float32", "int4"}
