# SPDX-License-Identifier: Apache-2.0
"""The local client against a socket that answers wrongly, late, in pieces or not at all.

The other end is a socket of the test's; frames are made by hand.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from edgectl_agent.client import BusyError, Model, connect
from edgectl_agent.client.connection import MAX_ANSWER_BYTES
from edgectl_agent.runner.listing import ModelListing, serialize_listing
from edgectl_protos.errors import (
    DeadlineError,
    EdgectlError,
    InputError,
    ProtocolError,
    RunnerError,
    StateError,
    UnreachableError,
)
from edgectl_protos.tensors import TensorSpec

_HEADER = struct.Struct("<4sBBHQQQQ")
_RESULT, _ERROR = 129, 255
_INPUT = bytes(12)
_REQUEST_BYTES = 40 + 8 + 8 + 16 + 8 + 16
_SCALAR = struct.pack("<IIBBHIQ", 1, 0, 6, 0, 0, 0, 4) + struct.pack("<f", 2.5) + bytes(4)

Behaviour = Callable[[socket.socket], None]


@dataclass
class Served:
    """A listed model behind a listening socket that serves its clients one after another."""

    model: Model
    folder: Path
    requests: list[int] = field(default_factory=list)

    def list_again(self, since: int) -> None:
        fresh = self.folder / "fresh"
        fresh.write_bytes(_listing(since))
        fresh.replace(self.folder / "model.json")


@contextlib.contextmanager
def _behaving(folder: Path, *behaviours: Behaviour) -> Iterator[Served]:
    """Each client meets the next behaviour, the last one again and again."""
    (folder / "model.json").write_bytes(_listing(1))
    with socket.socket(socket.AF_UNIX) as listener, connect(folder) as models:
        listener.bind(str(folder / "model.sock"))
        listener.listen()
        served = Served(models.model("model"), folder)
        thread = threading.Thread(target=_serve, args=(listener, served, list(behaviours)))
        thread.start()
        try:
            yield served
        finally:
            models.close()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=30)


def _serve(listener: socket.socket, served: Served, behaviours: list[Behaviour]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        served.requests.append(len(served.requests))
        with client, contextlib.suppress(OSError):
            (behaviours.pop(0) if len(behaviours) > 1 else behaviours[0])(client)


def _listing(since: int) -> bytes:
    inputs = (TensorSpec("float32", (1, 3)),)
    return serialize_listing(ModelListing("model", "1", "ab" * 32, inputs, (), serving_since_ns=since))


def _frame(kind: int, payload: bytes, *, status: int = 0, request: int = 1, claimed: int | None = None) -> bytes:
    size = len(payload) if claimed is None else claimed
    return _HEADER.pack(b"EDGR", 1, kind, status, request, 5000, size, 0) + payload


def _take_request(client: socket.socket) -> None:
    assert len(client.recv(_REQUEST_BYTES, socket.MSG_WAITALL)) == _REQUEST_BYTES


def _answering(*pieces: bytes) -> Behaviour:
    def behave(client: socket.socket) -> None:
        _take_request(client)
        for piece in pieces:
            client.sendall(piece)
        client.recv(1)

    return behave


def _silent(client: socket.socket) -> None:
    client.recv(1 << 20)
    client.recv(1)


def _closing_unread(client: socket.socket) -> None:
    client.recv(1, socket.MSG_PEEK)


def test_an_answer_in_single_bytes_is_whole_in_the_end(tmp_path: Path) -> None:
    frame = _frame(_RESULT, _SCALAR)
    with _behaving(tmp_path, _answering(*(frame[at : at + 1] for at in range(len(frame))))) as served:
        answer = served.model.run(_INPUT)
    assert answer.execute_us == 5.0
    assert [(output.spec, output.data.cast("f")[0]) for output in answer.outputs] == [(TensorSpec("float32", ()), 2.5)]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + bytes(40),
        b"EDGR\x02" + _frame(_RESULT, _SCALAR)[5:],
        _frame(_RESULT, _SCALAR, request=2),
        _frame(130, b"{}"),
        _frame(7, _SCALAR),
        _frame(_RESULT, b""),
        _frame(_RESULT, _SCALAR[:-1]),
        _frame(_RESULT, struct.pack("<II", 2**32 - 1, 0)),
        _frame(_RESULT, struct.pack("<IIBBHIQQ", 1, 0, 6, 1, 0, 0, 2**62, 4) + bytes(8)),
        _frame(_RESULT, struct.pack("<IIBBHIQQ", 1, 0, 6, 1, 0, 0, 2, 4) + bytes(8)),
        _frame(_RESULT, struct.pack("<IIBBHIQ", 1, 0, 99, 0, 0, 0, 4) + bytes(8)),
        _frame(_RESULT, _SCALAR + bytes(8)),
        _frame(_RESULT, b"", claimed=MAX_ANSWER_BYTES + 1),
        _frame(_RESULT, b"", claimed=2**64 - 1),
        _frame(_ERROR, b"", status=3, claimed=(1 << 20) + 1),
        _frame(_ERROR, b"\xff\xfe", status=99),
    ],
    ids=[
        "http",
        "version",
        "request",
        "kind-130",
        "kind-7",
        "empty",
        "short",
        "count",
        "sizes",
        "bytes",
        "dtype",
        "trailing",
        "long",
        "endless",
        "long-error",
        "status",
    ],
)
def test_a_wrong_answer_is_a_runner_error_and_its_connection_is_left(tmp_path: Path, answer: bytes) -> None:
    right = _answering(_frame(_RESULT, _SCALAR))
    with _behaving(tmp_path, _answering(answer), right) as served:
        with pytest.raises(RunnerError):
            served.model.run(_INPUT, timeout=10)
        if answer[5] != _ERROR:
            assert served.model.run(_INPUT, timeout=10).execute_us == 5.0
            assert len(served.requests) == 2


def test_bytes_behind_an_answer_are_refused(tmp_path: Path) -> None:
    long = struct.pack("<IIBBHIQQ", 1, 0, 6, 1, 0, 0, 4, 16) + bytes(16)

    def behave(client: socket.socket) -> None:
        _take_request(client)
        client.sendall(_frame(_RESULT, long))
        _take_request(client)
        client.sendall(_frame(_RESULT, _SCALAR, request=2) + b"more")
        client.recv(1)

    with _behaving(tmp_path, behave, _answering(_frame(_RESULT, _SCALAR))) as served:
        served.model.run(_INPUT)
        with pytest.raises(RunnerError, match="4 bytes behind an answer"):
            served.model.run(_INPUT)
        assert served.model.run(_INPUT).execute_us == 5.0
        assert len(served.requests) == 2


@pytest.mark.parametrize("part", [b"", _frame(_RESULT, _SCALAR)[:39], _frame(_RESULT, _SCALAR)[:60]], ids=len)
def test_an_answer_that_does_not_come_ends_with_the_deadline(tmp_path: Path, part: bytes) -> None:
    with (
        _behaving(tmp_path, _answering(part), _answering(_frame(_RESULT, _SCALAR))) as served,
        pytest.raises(DeadlineError, match=r"no answer in 0\.2 s"),
    ):
        served.model.run(_INPUT, timeout=0.2)


def test_a_request_that_is_not_read_ends_with_the_deadline(tmp_path: Path) -> None:
    def behave(client: socket.socket) -> None:
        client.recv(1)
        done.wait(30)

    done = threading.Event()
    with _behaving(tmp_path, behave) as served:
        with pytest.raises(DeadlineError):
            served.model.run(bytes(64 << 20), timeout=0.2)
        done.set()


def test_a_request_that_goes_in_pieces_arrives_as_it_was_made(tmp_path: Path) -> None:
    inputs = [os.urandom(size) for size in (3, 1_000_001, 0, 700_000)]
    payload = struct.pack("<II", len(inputs), 0)
    for data in inputs:
        payload += struct.pack("<BBHIQQ", 0, 1, 0, 0, len(data), len(data)) + data + bytes(-len(data) % 8)
    received = []

    def slowly(client: socket.socket) -> None:
        frame = b""
        while len(frame) < 40 + len(payload):
            frame += client.recv(7919)
        received.append(frame[40:])
        client.sendall(_frame(_RESULT, _SCALAR))
        client.recv(1)

    with _behaving(tmp_path, slowly) as served:
        served.model.run(*inputs)
    assert received == [payload]


def test_a_request_that_was_taken_is_not_asked_again(tmp_path: Path) -> None:
    with _behaving(tmp_path, _take_request) as served:
        with pytest.raises(RunnerError, match="ended while it had this request"):
            served.model.run(_INPUT, timeout=10)
        assert len(served.requests) == 1


def test_a_request_that_was_taken_before_a_swap_is_asked_again(tmp_path: Path) -> None:
    def swapped(client: socket.socket) -> None:
        _take_request(client)
        served.list_again(2)

    with _behaving(tmp_path, swapped, _answering(_frame(_RESULT, _SCALAR))) as served:
        assert served.model.run(_INPUT, timeout=10).execute_us == 5.0
        assert len(served.requests) == 2


def test_a_request_that_was_not_taken_is_asked_again(tmp_path: Path) -> None:
    with _behaving(tmp_path, _closing_unread, _closing_unread, _answering(_frame(_RESULT, _SCALAR))) as served:
        assert served.model.run(_INPUT, timeout=10).execute_us == 5.0
        assert len(served.requests) == 3


def test_a_socket_that_always_closes_ends_with_the_deadline(tmp_path: Path) -> None:
    with _behaving(tmp_path, _closing_unread) as served, pytest.raises(DeadlineError):
        served.model.run(_INPUT, timeout=0.3)


def test_a_call_that_is_under_way_at_close_leaves_no_connection_open(tmp_path: Path) -> None:
    taken, closed, left = threading.Event(), threading.Event(), threading.Event()

    def behave(client: socket.socket) -> None:
        _take_request(client)
        taken.set()
        closed.wait(30)
        client.sendall(_frame(_RESULT, _SCALAR))
        client.settimeout(10)
        if client.recv(1) == b"":
            left.set()

    with _behaving(tmp_path, behave) as served, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(served.model.run, _INPUT)
        assert taken.wait(30)
        served.model.close()
        closed.set()
        assert asked.result(30).execute_us == 5.0
        assert left.wait(10)


def test_a_refused_connection_says_why(tmp_path: Path) -> None:
    def refuse(client: socket.socket) -> None:
        client.sendall(_frame(_ERROR, b"64 clients are connected", status=4, request=0))

    with (
        _behaving(tmp_path, refuse) as served,
        pytest.raises(BusyError, match="64 clients are connected"),
    ):
        served.model.run(bytes(64 << 20), timeout=10)


def test_a_frame_too_long_for_the_program_is_an_input_error(tmp_path: Path) -> None:
    def refuse(client: socket.socket) -> None:
        client.recv(40)
        client.sendall(_frame(_ERROR, b"a payload of 1 bytes; expected at most 0", status=1))

    with (
        _behaving(tmp_path, refuse) as served,
        pytest.raises(InputError, match=r"input 0 is uint8\[67108864\]; expected float32\[1, 3\]"),
    ):
        served.model.run(bytes(64 << 20), timeout=10)


def _write_fifo(path: Path) -> None:
    os.mkfifo(path)


def _link_out(path: Path) -> None:
    other = path.parent.parent / "elsewhere.json"
    other.write_bytes(_listing(1))
    path.symlink_to(other)


def _other_name(path: Path) -> None:
    path.write_bytes(_listing(1).replace(b'"model"', b'"other"'))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.write_bytes(b"{"), ProtocolError),
        (lambda path: path.write_bytes(bytes(2 << 20)), ProtocolError),
        (_write_fifo, UnreachableError),
        (_link_out, UnreachableError),
        (_other_name, UnreachableError),
        (lambda path: path.mkdir(), UnreachableError),
    ],
    ids=["damaged", "long", "fifo", "link", "other-name", "folder"],
)
def test_what_is_no_listing_is_refused(tmp_path: Path, make: Callable[[Path], None], kind: type[EdgectlError]) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with connect(folder) as models:
        make(folder / "model.json")
        with pytest.raises(kind):
            models.listings()
        with pytest.raises(kind):
            models.model("model")


def test_a_folder_that_is_none_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(UnreachableError, match="--sockets"):
            connect(folder)


@pytest.mark.parametrize("name", ["../model", "a/b", "", "."])
def test_a_name_never_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with connect(tmp_path) as models, pytest.raises(EdgectlError, match="model name"):
        models.model(name)


def test_a_listing_without_a_listener_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(_listing(1))
    with connect(tmp_path) as models:
        model = models.model("model")
        with pytest.raises(UnreachableError, match=r"model\.sock"):
            model.run(_INPUT)
        with socket.socket(socket.AF_UNIX) as closed:
            closed.bind(str(tmp_path / "model.sock"))
        with pytest.raises(UnreachableError, match=r"model\.sock"):
            model.run(_INPUT)
        (tmp_path / "model.json").unlink()
        with pytest.raises(StateError, match="nothing is active"):
            model.run(_INPUT)


def test_no_descriptor_left_is_a_clear_refusal(tmp_path: Path) -> None:
    with _behaving(tmp_path, _answering(_frame(_RESULT, _SCALAR))) as served:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
        try:
            with contextlib.ExitStack() as files:
                with contextlib.suppress(OSError):
                    while True:
                        files.enter_context(Path("/dev/null").open())
                with pytest.raises(UnreachableError):
                    served.model.run(_INPUT, timeout=5)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert served.model.run(_INPUT, timeout=5).execute_us == 5.0


def test_a_full_backlog_is_a_clear_refusal(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(_listing(1))
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as waiting, connect(tmp_path) as models:
        listener.bind(str(tmp_path / "model.sock"))
        listener.listen(1)
        with contextlib.suppress(BlockingIOError):
            while True:
                client = waiting.enter_context(socket.socket(socket.AF_UNIX))
                client.settimeout(0)
                client.connect(str(tmp_path / "model.sock"))
        with pytest.raises(BusyError, match="more clients wait"):
            models.model("model").run(_INPUT, timeout=0.2)
