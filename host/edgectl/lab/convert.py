# SPDX-License-Identifier: Apache-2.0
"""Protobuf to values and back, for the lab. What an agent sends is checked; `convert_measure` has what is measured."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from edgectl_protos import PROTOCOL_VERSION
from edgectl_protos.bundle import BundleInfo
from edgectl_protos.errors import EdgectlError, InputError, ProtocolError
from edgectl_protos.metrics import TelemetryRecord, record_from_message
from edgectl_protos.tensors import TensorData, TensorSpec
from edgectl_protos.v1 import agent_pb2, telemetry_pb2
from google.protobuf.message import DecodeError

from edgectl.lab.device_values import (
    Activation,
    DeviceInfo,
    Inference,
    Installed,
    InstalledModel,
    RolledBack,
    UncheckedBudget,
)

if TYPE_CHECKING:
    from edgectl.lab.device_values import Array

_MAX_TEXT = 2_000
_MAX_BUDGETS = 16


def printable(text: str) -> str:
    """Text from a device, bounded and without characters that could steer a terminal."""
    return "".join(
        character if character == " " or unicodedata.category(character)[0] not in "CZ" else " "
        for character in text[:_MAX_TEXT]
    )


def error_from_detail(data: bytes) -> EdgectlError | None:
    """The error in the trailing metadata `edgectl-error-bin`, or None where it cannot be decoded."""
    try:
        detail = agent_pb2.ErrorDetail.FromString(data)
    except DecodeError:
        return None
    return EdgectlError.from_wire(
        printable(detail.code),
        seen=printable(detail.seen),
        expected=printable(detail.expected),
        action=printable(detail.action),
    )


def hello_request(host_version: str) -> agent_pb2.HelloRequest:
    return agent_pb2.HelloRequest(protocol=PROTOCOL_VERSION, host_version=host_version)


def device_info(reply: agent_pb2.HelloReply, *, address: str) -> DeviceInfo:
    """What Hello tells.

    Raises:
        ProtocolError: the agent speaks another version of the contract.
    """
    if reply.protocol != PROTOCOL_VERSION:
        older = "agent" if reply.protocol < PROTOCOL_VERSION else "host"
        package = "edgectl-agent on the device" if older == "agent" else "edgectl on this host"
        raise ProtocolError(
            f"the agent at {address} speaks protocol {reply.protocol} (agent {printable(reply.agent_version)})",
            expected=f"protocol {PROTOCOL_VERSION}, which this host speaks",
            action=f"update {package}, which is the older",
        )
    return DeviceInfo(
        name=printable(reply.device),
        agent_version=printable(reply.agent_version),
        boot_id=printable(reply.boot_id),
        architecture=printable(reply.architecture),
        runtime=printable(reply.runtime),
        delegates=tuple(map(printable, reply.delegates)),
        capabilities=tuple(map(printable, reply.capabilities)),
        kernel=printable(reply.kernel),
        cpu_model=printable(reply.cpu_model),
        cpu_features=tuple(map(printable, reply.cpu_features)),
        cpu_count=reply.cpu_count,
        memory_bytes=reply.memory_bytes,
        models=tuple(
            InstalledModel(printable(model.name), printable(model.version), printable(model.digest), model.active)
            for model in reply.models
        ),
        agent_pss_bytes=reply.agent_pss_bytes or None,
        emulator=printable(reply.emulator),
        core=printable(reply.core),
    )


def bundle_header(info: BundleInfo, path: Path) -> agent_pb2.BundleChunk:
    return agent_pb2.BundleChunk(header=agent_pb2.BundleHeader(digest=info.digest, bytes=path.stat().st_size))


def bundle_data(data: bytes) -> agent_pb2.BundleChunk:
    return agent_pb2.BundleChunk(data=data)


def installed(reply: agent_pb2.PutBundleReply) -> Installed:
    return Installed(printable(reply.name), printable(reply.version), printable(reply.digest), reply.already_present)


def activate_request(name: str, digest: str) -> agent_pb2.ActivateRequest:
    return agent_pb2.ActivateRequest(name=name, digest=digest)


def activation(reply: agent_pb2.ActivateReply) -> Activation:
    return Activation(
        name=printable(reply.name),
        digest=printable(reply.digest),
        previous_digest=printable(reply.previous_digest) or None,
        golden_max_abs_error=reply.golden_max_abs_error,
        unchecked_budgets=tuple(
            UncheckedBudget(printable(entry.budget), printable(entry.reason))
            for entry in reply.unchecked_budgets[:_MAX_BUDGETS]
        ),
    )


def rollback_request(name: str) -> agent_pb2.RollbackRequest:
    return agent_pb2.RollbackRequest(name=name)


def rolled_back(reply: agent_pb2.RollbackReply) -> RolledBack:
    return RolledBack(printable(reply.name), printable(reply.digest), printable(reply.rolled_back_digest))


def infer_request(name: str, inputs: Sequence[Array]) -> agent_pb2.InferRequest:
    """A request with the inputs as row-major little-endian bytes.

    Raises:
        InputError: a dtype or rank that no program takes.
    """
    request = agent_pb2.InferRequest(name=name)
    for array in inputs:
        spec = TensorSpec(array.dtype.name, array.shape)
        little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
        request.inputs.add(dtype=spec.dtype, shape=spec.shape, data=little_endian.tobytes(order="C"))
    return request


def inference(reply: agent_pb2.InferReply) -> Inference:
    """Outputs as arrays that own their memory.

    Raises:
        ProtocolError: an output's bytes do not fit its dtype and shape.
    """
    return Inference([_array(tensor) for tensor in reply.outputs], reply.execute_us or None, printable(reply.digest))


def _array(tensor: agent_pb2.Tensor) -> Array:
    try:
        checked = TensorData(TensorSpec(printable(tensor.dtype), tuple(tensor.shape)), tensor.data)
    except InputError as error:
        raise ProtocolError(
            f"the agent's output cannot be read: {error.seen}",
            expected=error.expected,
            action="update the agent on the device",
        ) from error
    dtype = np.dtype(checked.spec.dtype).newbyteorder("<")
    return np.frombuffer(checked.data, dtype=dtype).reshape(checked.spec.shape).copy()


def telemetry_request(interval_seconds: float) -> agent_pb2.StreamTelemetryRequest:
    return agent_pb2.StreamTelemetryRequest(interval_seconds=interval_seconds)


def telemetry_record(message: telemetry_pb2.TelemetryRecord) -> TelemetryRecord:
    return record_from_message(message)
