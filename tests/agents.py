# SPDX-License-Identifier: Apache-2.0
"""Real processes for tests: an agent, and a mosquitto broker on a free loopback port."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import grpc
from edgectl_protos import PROTOCOL_VERSION
from edgectl_protos.errors import EdgectlError
from edgectl_protos.v1 import agent_pb2, agent_pb2_grpc

from tests.program_bundles import Bundle

START_SECONDS = 60.0
CALL_SECONDS = 60.0

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """An agent that has said it is ready."""

    process: subprocess.Popen[bytes]
    address: str
    state: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @contextlib.contextmanager
    def stub(self) -> Iterator[Any]:
        """A plain-text stub of the generated service."""
        options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(self.address, options=options) as channel:
            yield agent_pb2_grpc.AgentStub(channel)  # type: ignore[no-untyped-call]

    def runner_pids(self) -> list[int]:
        """The agent's child processes."""
        return children_of(self.pid)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=30)


@contextlib.contextmanager
def running_agent(
    state: Path,
    *arguments: str,
    device: str = "board",
    listen: str | None = "127.0.0.1:0",
    python: Sequence[str] = (),
    program: Sequence[str | Path] = (),
) -> Iterator[RunningAgent]:
    """`edge-agent run` on a free port; gone, with its runners, at the end. Its log is `log_of(state)`.

    `listen` None is `--no-grpc`; `python` are options of the interpreter; `program` starts another agent than this
    environment's.
    """
    started = [str(part) for part in program] or [sys.executable, *python, "-m", "edgectl_agent"]
    command = [*started, "run", "--state", str(state), "--device", device]
    command += ["--no-grpc"] if listen is None else ["--listen", listen]
    command += arguments
    with log_of(state).open("ab") as log, _process(command, stdout=subprocess.PIPE, stderr=log) as process:
        ready = _ready_line(process, log_of(state))
        yield RunningAgent(process, str(ready["listen"]), state)


@contextlib.contextmanager
def running_broker(directory: Path, *, port: int = 0, lines: Sequence[str] = ()) -> Iterator[int]:
    """A mosquitto; its port. `lines` are more configuration."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise RuntimeError("mosquitto is not installed: apt-get install mosquitto")
    port = port or free_port()
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "mosquitto.conf"
    # Started as root it would become another user, who may not read a test's files.
    user = ["user root"] if os.geteuid() == 0 else []
    listener = [f"listener {port} 127.0.0.1", *(lines or ["allow_anonymous true"])]
    configuration.write_text("\n".join([*user, *listener]) + "\n")
    with _process([program, "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        eventually(lambda: _accepts(port))
        yield port


def log_of(state: Path) -> Path:
    """Where an agent's stderr goes."""
    return state.with_suffix(".log")


def refused_agent(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An agent that is expected not to start."""
    command = [sys.executable, "-m", "edgectl_agent", "run", "--state", str(state), "--device", "board", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(probe: Callable[[], _Value], *, seconds: float = 30.0) -> _Value:
    """The first true value of `probe`; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < deadline, f"still {value!r} after {seconds:g} s"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Child processes that are no zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


def command_of(pid: int) -> bytes:
    """Its command line, empty where it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def is_alive(pid: int) -> bool:
    """Whether `pid` runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def hello(stub: Any) -> agent_pb2.HelloReply:
    reply: agent_pb2.HelloReply = stub.Hello(
        agent_pb2.HelloRequest(protocol=PROTOCOL_VERSION, host_version="test"), timeout=CALL_SECONDS
    )
    return reply


def put(stub: Any, bundle: Bundle, *, chunk_bytes: int = 1 << 16) -> agent_pb2.PutBundleReply:
    """Upload a bundle."""
    chunks = bundle_chunks(bundle.path.read_bytes(), bundle.digest, chunk_bytes=chunk_bytes)
    reply: agent_pb2.PutBundleReply = stub.PutBundle(chunks, timeout=CALL_SECONDS)
    return reply


def activate(stub: Any, bundle: Bundle) -> agent_pb2.ActivateReply:
    request = agent_pb2.ActivateRequest(name=bundle.name, digest=bundle.digest)
    reply: agent_pb2.ActivateReply = stub.Activate(request, timeout=CALL_SECONDS)
    return reply


def deploy(stub: Any, bundle: Bundle) -> agent_pb2.ActivateReply:
    """Put and activate."""
    put(stub, bundle)
    return activate(stub, bundle)


def bundle_chunks(
    data: bytes, digest: str, *, chunk_bytes: int = 1 << 16, announced: int | None = None
) -> Iterator[agent_pb2.BundleChunk]:
    """The messages of an upload."""
    size = len(data) if announced is None else announced
    yield agent_pb2.BundleChunk(header=agent_pb2.BundleHeader(digest=digest, bytes=size))
    for start in range(0, len(data), chunk_bytes):
        yield agent_pb2.BundleChunk(data=data[start : start + chunk_bytes])


def roll_back(stub: Any, name: str) -> agent_pb2.RollbackReply:
    reply: agent_pb2.RollbackReply = stub.Rollback(agent_pb2.RollbackRequest(name=name), timeout=CALL_SECONDS)
    return reply


def infer(stub: Any, name: str, *arrays: Any) -> agent_pb2.InferReply:
    """Run the active program on numpy arrays."""
    inputs = [agent_pb2.Tensor(dtype=str(array.dtype), shape=array.shape, data=array.tobytes()) for array in arrays]
    reply: agent_pb2.InferReply = stub.Infer(agent_pb2.InferRequest(name=name, inputs=inputs), timeout=CALL_SECONDS)
    return reply


def error_of(failure: grpc.RpcError) -> EdgectlError:
    """The error a failed call carries in its trailing metadata."""
    detail = agent_pb2.ErrorDetail()
    metadata: dict[str, bytes] = dict(failure.trailing_metadata() or ())  # type: ignore[arg-type]
    detail.ParseFromString(metadata["edgectl-error-bin"])
    return EdgectlError.from_wire(detail.code, seen=detail.seen, expected=detail.expected, action=detail.action)


@contextlib.contextmanager
def _process(command: list[str], *, stdout: int, stderr: int | IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own; the whole group is gone at the end."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _ready_line(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    stream = process.stdout
    assert stream is not None
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=START_SECONDS)
    except queue.Empty:
        line = b""
    assert line, f"the agent did not become ready: {log.read_text()}"
    ready: dict[str, Any] = json.loads(line)
    return ready


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
