# SPDX-License-Identifier: Apache-2.0
"""Between the messages of the gRPC contract and the agent's values.

Beyond `rpc/`, this file and `convert_measure` nothing sees them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from edgectl_protos import PROTOCOL_VERSION
from edgectl_protos.errors import EdgectlError, InputError, UsageError
from edgectl_protos.tensors import TensorData, TensorSpec
from edgectl_protos.v1 import agent_pb2

from edgectl_agent import __version__
from edgectl_agent.board.facts import BoardFacts
from edgectl_agent.budgets import unchecked_budgets
from edgectl_agent.installation import Activation, PutResult, RolledBack
from edgectl_agent.runner.runtime import RuntimeFacts
from edgectl_agent.runner.serving import Inference
from edgectl_agent.store.slots import ModelSlots

_ALWAYS = ("put_bundle", "activate", "rollback", "infer", "stream_telemetry")
_OF_A_REAL_BOARD = ("benchmark", "profile", "run_periodic")

_MAX_TENSORS = 256


def error_detail(error: EdgectlError) -> bytes:
    """The serialized ErrorDetail that goes with a failed call."""
    detail = agent_pb2.ErrorDetail(code=error.code, seen=error.seen, expected=error.expected, action=error.action)
    return detail.SerializeToString()


def hello_reply(
    *,
    device: str,
    boot_id: str,
    runtime: RuntimeFacts,
    board: BoardFacts,
    models: dict[str, ModelSlots],
    pss_bytes: int,
    counts_instructions: bool,
) -> agent_pb2.HelloReply:
    return agent_pb2.HelloReply(
        protocol=PROTOCOL_VERSION,
        agent_version=__version__,
        device=device,
        boot_id=boot_id,
        architecture=runtime.architecture,
        runtime=runtime.runtime,
        delegates=runtime.delegates,
        capabilities=_capabilities(board, counts_instructions=counts_instructions),
        kernel=board.kernel,
        cpu_model=board.cpu_model,
        cpu_features=board.cpu_features,
        cpu_count=board.cpu_count,
        memory_bytes=board.memory_bytes,
        models=installed_models(models),
        agent_pss_bytes=pss_bytes,
        emulator=board.emulator,
        core=runtime.core,
    )


def _capabilities(board: BoardFacts, *, counts_instructions: bool) -> tuple[str, ...]:
    """Nothing that takes time on an emulated board."""
    measures = () if board.emulator else _OF_A_REAL_BOARD
    return (*_ALWAYS, *measures, *(("count_instructions",) if counts_instructions else ()))


def installed_models(models: dict[str, ModelSlots]) -> list[agent_pb2.InstalledModel]:
    return [
        agent_pb2.InstalledModel(
            name=name, version=slot.manifest.version, digest=slot.digest, active=slot == model.active
        )
        for name, model in sorted(models.items())
        for slot in model.slots
    ]


def put_reply(result: PutResult) -> agent_pb2.PutBundleReply:
    manifest = result.slot.manifest
    return agent_pb2.PutBundleReply(
        name=manifest.name,
        version=manifest.version,
        digest=result.slot.digest,
        already_present=result.already_present,
    )


def activate_reply(activation: Activation, *, emulator: str) -> agent_pb2.ActivateReply:
    return agent_pb2.ActivateReply(
        name=activation.name,
        digest=activation.digest,
        previous_digest=activation.previous_digest,
        golden_max_abs_error=activation.max_abs_error,
        unchecked_budgets=[
            agent_pb2.UncheckedBudget(budget=one.budget, reason=one.reason)
            for one in unchecked_budgets(activation.budgets, emulator)
        ],
    )


def rollback_reply(result: RolledBack) -> agent_pb2.RollbackReply:
    return agent_pb2.RollbackReply(name=result.name, digest=result.digest, rolled_back_digest=result.rolled_back_digest)


def tensors(messages: Iterable[agent_pb2.Tensor]) -> tuple[TensorData, ...]:
    """The tensors of a request.

    Raises:
        InputError: too many, an unknown dtype, or data of another length than the shape says.
    """
    given = list(messages)
    if len(given) > _MAX_TENSORS:
        raise InputError(f"{len(given)} tensors", expected=f"at most {_MAX_TENSORS}")
    return tuple(TensorData(TensorSpec(entry.dtype, tuple(entry.shape)), entry.data) for entry in given)


def infer_reply(inference: Inference, *, emulator: str) -> agent_pb2.InferReply:
    """The outputs; without the time where the board is emulated."""
    outputs = [
        agent_pb2.Tensor(dtype=tensor.spec.dtype, shape=tensor.spec.shape, data=tensor.data)
        for tensor in inference.outputs
    ]
    return agent_pb2.InferReply(
        digest=inference.digest, outputs=outputs, execute_us=0.0 if emulator else inference.execute_us
    )


def stream_interval(request: agent_pb2.StreamTelemetryRequest) -> float:
    """Seconds between records; 0 for every one.

    Raises:
        UsageError: negative or not a number.
    """
    seconds = float(request.interval_seconds)
    if not math.isfinite(seconds) or seconds < 0:
        raise UsageError(f"telemetry interval {seconds}", expected="0 or more seconds")
    return seconds
