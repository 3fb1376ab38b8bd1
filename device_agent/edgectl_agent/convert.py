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
from edgectl_agent.installation import Activation, PutResult, RolledBack
from edgectl_agent.runner.runtime import RuntimeFacts
from edgectl_agent.runner.serving import Inference
from edgectl_agent.store.slots import ModelSlots

CAPABILITIES = (
    "put_bundle",
    "activate",
    "rollback",
    "benchmark",
    "profile",
    "run_periodic",
    "infer",
    "stream_telemetry",
)

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
) -> agent_pb2.HelloReply:
    return agent_pb2.HelloReply(
        protocol=PROTOCOL_VERSION,
        agent_version=__version__,
        device=device,
        boot_id=boot_id,
        architecture=runtime.architecture,
        runtime=runtime.runtime,
        delegates=runtime.delegates,
        capabilities=CAPABILITIES,
        kernel=board.kernel,
        cpu_model=board.cpu_model,
        cpu_features=board.cpu_features,
        cpu_count=board.cpu_count,
        memory_bytes=board.memory_bytes,
        models=installed_models(models),
        agent_pss_bytes=pss_bytes,
    )


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


def activate_reply(activation: Activation) -> agent_pb2.ActivateReply:
    return agent_pb2.ActivateReply(
        name=activation.name,
        digest=activation.digest,
        previous_digest=activation.previous_digest,
        golden_max_abs_error=activation.max_abs_error,
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


def infer_reply(inference: Inference) -> agent_pb2.InferReply:
    outputs = [
        agent_pb2.Tensor(dtype=tensor.spec.dtype, shape=tensor.spec.shape, data=tensor.data)
        for tensor in inference.outputs
    ]
    return agent_pb2.InferReply(digest=inference.digest, outputs=outputs, execute_us=inference.execute_us)


def stream_interval(request: agent_pb2.StreamTelemetryRequest) -> float:
    """Seconds between records; 0 for every one.

    Raises:
        UsageError: negative or not a number.
    """
    seconds = float(request.interval_seconds)
    if not math.isfinite(seconds) or seconds < 0:
        raise UsageError(f"telemetry interval {seconds}", expected="0 or more seconds")
    return seconds
