# SPDX-License-Identifier: Apache-2.0
"""Calls no client of ours makes: each is one error with a code, and leaves the device as it was."""

from __future__ import annotations

import hashlib
import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from edgectl_protos.errors import BundleError, EdgectlError, InputError, InternalError, StateError, UsageError
from edgectl_protos.manifest import MANIFEST_MEMBER, manifest_digest
from edgectl_protos.v1 import agent_pb2

from tests.agents import RunningAgent, bundle_chunks, deploy, error_of, hello, infer, roll_back, running_agent
from tests.program_bundles import Bundle, make_bundle, program_directory
from tests.programs import golden_inputs, small_cnn_program

NAME = "model"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """One agent for all: what a hostile call leaves behind would show in the next test."""
    with running_agent(tmp_path_factory.mktemp("agent") / "state", "--max-bundle-bytes", "1000000") as running:
        yield running


@pytest.fixture(scope="module")
def active(agent: RunningAgent, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    bundle = make_bundle(tmp_path_factory.mktemp("bundles"), small_cnn_program(program_directory()))
    with agent.stub() as stub:
        deploy(stub, bundle)
    return bundle


@pytest.fixture
def stub(agent: RunningAgent, active: Bundle) -> Iterator[Any]:
    """A stub; afterwards the active bundle must still be the only one, and answer."""
    with agent.stub() as stub:
        yield stub
        assert {model.digest: model.active for model in hello(stub).models} == {active.digest: True}
        inputs = [np.load(path) for path in golden_inputs(small_cnn_program(program_directory()))]
        assert infer(stub, NAME, *inputs).digest == active.digest
        assert list((agent.state / "incoming").iterdir()) == []
        assert {path.name for path in (agent.state / "models").iterdir()} == {NAME}


@pytest.fixture
def fresh(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path, small_cnn_program(program_directory()), version="2")


def _failure(call: Any, *arguments: Any) -> EdgectlError:
    with pytest.raises(grpc.RpcError) as refused:
        call(*arguments, timeout=30)
    error = error_of(refused.value)
    assert not isinstance(error, InternalError), error.message
    assert "\n" not in error.message
    return error


def _put(stub: Any, data: bytes, digest: str, **changes: Any) -> EdgectlError:
    return _failure(stub.PutBundle, bundle_chunks(data, digest, **changes))


def _header(digest: str, size: int) -> agent_pb2.BundleChunk:
    return agent_pb2.BundleChunk(header=agent_pb2.BundleHeader(digest=digest, bytes=size))


@pytest.mark.parametrize("announced", [0, 1_000_001, 2**64 - 1])
def test_an_announced_size_out_of_bounds(stub: Any, fresh: Bundle, announced: int) -> None:
    assert isinstance(_put(stub, fresh.path.read_bytes(), fresh.digest, announced=announced), UsageError)


@pytest.mark.parametrize("difference", [-1, 1, -500])
def test_more_or_fewer_bytes_than_announced(stub: Any, fresh: Bundle, difference: int) -> None:
    data = fresh.path.read_bytes()
    assert isinstance(_put(stub, data, fresh.digest, announced=len(data) + difference), BundleError)


def test_an_upload_of_nothing(stub: Any) -> None:
    assert isinstance(_failure(stub.PutBundle, iter(())), UsageError)


def test_data_before_the_header(stub: Any) -> None:
    assert isinstance(_failure(stub.PutBundle, iter([agent_pb2.BundleChunk(data=b"x")])), UsageError)


def test_an_empty_chunk_first(stub: Any) -> None:
    assert isinstance(_failure(stub.PutBundle, iter([agent_pb2.BundleChunk()])), UsageError)


def test_a_second_header(stub: Any, fresh: Bundle) -> None:
    header = _header(fresh.digest, 10)
    assert isinstance(_failure(stub.PutBundle, iter([header, header])), UsageError)


@pytest.mark.parametrize("digest", ["", "0" * 64, "../../x", "é" * 100])
def test_a_digest_of_something_else(stub: Any, fresh: Bundle, digest: str) -> None:
    assert isinstance(_put(stub, fresh.path.read_bytes(), digest), BundleError)


def test_random_damage_never_gets_in_and_is_never_a_defect(tmp_path: Path, fresh: Bundle) -> None:
    random_source = random.Random(20)
    whole = fresh.path.read_bytes()
    with zipfile.ZipFile(fresh.path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with running_agent(tmp_path / "state") as agent, agent.stub() as stub:
        for _ in range(60):
            damaged = _damaged(whole, random_source)
            try:
                stub.PutBundle(bundle_chunks(damaged, fresh.digest), timeout=30)
            except grpc.RpcError as failure:
                error = error_of(failure)
                assert isinstance(error, BundleError), error.message
        # Damage to what nobody reads, such as a member's date, is none: then what is on disk must be whole.
        for slot in (agent.state / "models").glob("*/[AB]"):
            held = {str(path.relative_to(slot)): path.read_bytes() for path in slot.rglob("*") if path.is_file()}
            assert held == members


def _damaged(whole: bytes, random_source: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(random_source.choice((1, 1, 4, 64))):
        data[random_source.randrange(len(data))] ^= random_source.randrange(1, 256)
    if random_source.random() < 0.3:
        del data[random_source.randrange(1, len(data)) :]
    return bytes(data)


@pytest.mark.parametrize(
    "names",
    [("../evil",), ("/etc/evil",), ("a/../../evil",), ("model.pte/below",), ("golden",), ("manifest.json/x",)],
    ids=lambda names: names[0],
)
def test_member_names_that_would_leave_or_tear_the_folder(
    agent: RunningAgent, stub: Any, fresh: Bundle, tmp_path: Path, names: tuple[str, ...]
) -> None:
    path = tmp_path / "evil.edge"
    digest = _rewritten(fresh.path, path, dict.fromkeys(names, b"evil"))
    assert isinstance(_put(stub, path.read_bytes(), digest), BundleError)
    assert [found for found in agent.state.parent.rglob("*evil*") if found != path] == []


@pytest.mark.parametrize("name", ["../other", "a/b", "", ".hidden", "x" * 64])
def test_a_model_name_that_is_no_file_name(stub: Any, fresh: Bundle, tmp_path: Path, name: str) -> None:
    path = tmp_path / "named.edge"
    digest = _rewritten(fresh.path, path, {}, change=(b'"name":"model"', f'"name":"{name}"'.encode()))
    assert isinstance(_put(stub, path.read_bytes(), digest), BundleError)


def test_a_member_that_unpacks_to_more_than_its_manifest_says(stub: Any, fresh: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "bomb.edge"
    digest = _rewritten(fresh.path, path, {}, replace={"model.pte": bytes(50_000_000)})
    assert path.stat().st_size < 1_000_000
    assert isinstance(_put(stub, path.read_bytes(), digest), BundleError)


@pytest.mark.parametrize(
    "tensor",
    [
        agent_pb2.Tensor(dtype="float32", shape=[1, 1, 8, 9], data=bytes(288)),
        agent_pb2.Tensor(dtype="float32", shape=[64], data=bytes(256)),
        agent_pb2.Tensor(dtype="float64", shape=[1, 1, 8, 8], data=bytes(512)),
        agent_pb2.Tensor(dtype="float32", shape=[1, 1, 8, 8], data=bytes(255)),
        agent_pb2.Tensor(dtype="float32", shape=[1, 1, 8, 8]),
        agent_pb2.Tensor(dtype="float32", shape=[2**63, 2**63], data=b""),
        agent_pb2.Tensor(dtype="float32", shape=[1] * 17, data=bytes(4)),
        agent_pb2.Tensor(dtype="object", shape=[1, 1, 8, 8], data=bytes(256)),
        agent_pb2.Tensor(),
    ],
    ids=["shape", "rank", "dtype", "short", "empty", "overflow", "deep", "object", "nothing"],
)
def test_a_tensor_that_does_not_fit(stub: Any, tensor: agent_pb2.Tensor) -> None:
    assert isinstance(_failure(stub.Infer, agent_pb2.InferRequest(name=NAME, inputs=[tensor])), InputError)


@pytest.mark.parametrize("count", [0, 2, 300])
def test_another_number_of_tensors(stub: Any, count: int) -> None:
    tensor = agent_pb2.Tensor(dtype="float32", shape=[1, 1, 8, 8], data=bytes(256))
    assert isinstance(_failure(stub.Infer, agent_pb2.InferRequest(name=NAME, inputs=[tensor] * count)), InputError)


@pytest.mark.parametrize("name", ["", "../model", "a\0b", "x" * 1000])
def test_a_name_that_is_none(stub: Any, active: Bundle, name: str) -> None:
    requests = [
        (stub.Infer, agent_pb2.InferRequest(name=name)),
        (stub.Activate, agent_pb2.ActivateRequest(name=name, digest=active.digest)),
        (stub.Rollback, agent_pb2.RollbackRequest(name=name)),
    ]
    for call, request in requests:
        assert isinstance(_failure(call, request), UsageError)


def test_a_model_that_is_not_there(stub: Any) -> None:
    assert isinstance(_failure(stub.Infer, agent_pb2.InferRequest(name="other")), StateError)
    assert isinstance(_failure(stub.Activate, agent_pb2.ActivateRequest(name=NAME, digest="f" * 64)), StateError)
    with pytest.raises(grpc.RpcError) as refused:
        roll_back(stub, NAME)
    assert isinstance(error_of(refused.value), StateError)


def _rewritten(
    source: Path,
    target: Path,
    added: dict[str, bytes],
    *,
    change: tuple[bytes, bytes] | None = None,
    replace: dict[str, bytes] | None = None,
) -> str:
    """A copy of the bundle with members added (and vouched for), bytes of the manifest changed, or members swapped."""
    with zipfile.ZipFile(source) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    manifest = contents.pop(MANIFEST_MEMBER)
    document = json.loads(manifest)
    for name, data in added.items():
        document["members"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    if added:
        manifest = json.dumps(document).encode()
    if change is not None:
        assert change[0] in manifest
        manifest = manifest.replace(*change)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {MANIFEST_MEMBER: manifest, **contents, **added, **(replace or {})}.items():
            archive.writestr(name, data)
    return manifest_digest(manifest)
