# SPDX-License-Identifier: Apache-2.0
"""One blocking connection to a model's socket: one request at a time, each under a deadline.

How a connection ends tells whether the runner had the request: a Unix socket that is closed with bytes unread resets
its peer, one whose bytes were all read merely ends. A request that was not taken whole was not run.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Sequence
from itertools import starmap
from pathlib import Path

from edgectl_protos.errors import DeadlineError, EdgectlError, RunnerError, UnreachableError
from edgectl_protos.tensors import check_inputs

from edgectl_agent.client.answer import Answer, Output
from edgectl_agent.client.inputs import Tensor
from edgectl_agent.runner.frames import (
    HEADER_BYTES,
    MAX_TEXT_BYTES,
    BusyError,
    Header,
    Kind,
    Status,
    decode_header,
    encode_header,
    error_from_status,
    split_tensors,
    tensor_pieces,
)
from edgectl_agent.runner.listing import SOCKET_SUFFIX, ModelListing

MAX_ANSWER_BYTES = 64 << 20
"""The longest answer that is accepted."""

_LONGEST_SOCKET_PATH = 107
_BACKLOG_WAIT_SECONDS = 0.005


class ConnectionLostError(RunnerError):
    """The runner went away before it answered; `taken` says whether it had the request whole."""

    def __init__(self, *, taken: bool) -> None:
        super().__init__("the runner went away before it answered", action="ask again")
        self.taken = taken


class Deadline:
    """An instant of the monotonic clock, and the seconds it was set for."""

    __slots__ = ("_at", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left.

        Raises:
            DeadlineError: none.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise self.passed()
        return left

    def passed(self) -> DeadlineError:
        return DeadlineError(
            f"no answer in {self._seconds:g} s",
            expected="one by then",
            action="the model may be slow, loaded by others, or starting again after a crash: see the agent's log",
        )


class Connection:
    """`usable` while whole exchanges lie behind it; `process` is the one that opened it."""

    def __init__(self, opened: socket.socket, listing: ModelListing) -> None:
        """Take over `opened`, a connected socket that does not block."""
        self.listing = listing
        self.process = os.getpid()
        self.usable = True
        self._socket = opened
        self._request = 0
        self._expected_bytes = HEADER_BYTES
        self._readable = select.poll()
        self._readable.register(opened, select.POLLIN)

    @classmethod
    def open(cls, directory: Path, listing: ModelListing, deadline: Deadline) -> Connection:
        """Connect; while no runner accepts, this already succeeds, and requests wait for one.

        Raises:
            UnreachableError: nobody listens, this user may not connect, or this process may open no more files.
            BusyError: more clients than the backlog holds have been waiting until the deadline.
        """
        try:
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise UnreachableError(f"no socket to be had ({error.strerror})", action="close some files") from error
        try:
            _connect(opened, directory / (listing.name + SOCKET_SUFFIX), deadline)
        except BaseException:
            opened.close()
            raise
        return cls(opened, listing)

    def infer(self, tensors: Sequence[Tensor], deadline: Deadline) -> Answer:
        """Run the program once.

        Raises:
            InputError: the tensors do not fit the program.
            BusyError: it was refused; nothing was run.
            ConnectionLostError: the runner went away.
            DeadlineError: no answer in time; the program may still run to its end.
            RunnerError: the program failed, or the answer is none.
        """
        self.usable = False
        self._request += 1
        pieces = tensor_pieces(tensors)
        payload_bytes = sum(map(len, pieces))
        sent = self._send([encode_header(Kind.INFER, self._request, payload_bytes), *pieces], deadline)
        # Also where sending failed: a runner that closes says why before.
        header, payload = self._receive_frame(sent=sent, deadline=deadline)
        if header.kind == Kind.ERROR:
            raise self._refusal(header, bytes(payload), tensors)
        if header.kind != Kind.RESULT or header.request != self._request:
            raise RunnerError(f"a frame of kind {header.kind} for request {header.request}", expected="the answer")
        outputs = tuple(starmap(Output, split_tensors(payload)))
        self.usable = sent
        return Answer(outputs, header.execute_ns / 1000.0)

    def close(self) -> None:
        """Close this process's end; where it was inherited by a fork, the other process's stays open."""
        self.usable = False
        self._socket.close()

    def _refusal(self, header: Header, text: bytes, tensors: Sequence[Tensor]) -> EdgectlError:
        if header.status == Status.BAD_FRAME:
            # Our frames are well formed: one that is refused as a frame is longer than the program's inputs.
            check_inputs(tuple(spec for spec, _ in tensors), self.listing.inputs)
        self.usable = header.status != Status.BAD_FRAME and header.request == self._request
        return error_from_status(header.status, text.decode(errors="replace"))

    def _send(self, pieces: Sequence[bytes | memoryview], deadline: Deadline) -> bool:
        """Send `pieces`; False where the other end closed meanwhile."""
        left: Sequence[bytes | memoryview] = pieces
        try:
            while left:
                try:
                    left = _behind(left, self._socket.sendmsg(left))
                except BlockingIOError:
                    self._await_room(deadline)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _await_room(self, deadline: Deadline) -> None:
        writable = select.poll()
        writable.register(self._socket, select.POLLOUT)
        _wait(writable, deadline)

    def _receive_frame(self, *, sent: bool, deadline: Deadline) -> tuple[Header, memoryview]:
        """The answer, in memory of its own. One of the previous one's size comes in a single read."""
        frame = memoryview(bytearray(self._expected_bytes))
        held = self._receive(frame, 0, HEADER_BYTES, sent=sent, deadline=deadline)
        header = decode_header(frame[:HEADER_BYTES])
        limit = MAX_TEXT_BYTES if header.kind == Kind.ERROR else MAX_ANSWER_BYTES
        if header.payload_bytes > limit:
            raise RunnerError(f"an answer of {header.payload_bytes} bytes", expected=f"at most {limit}")
        whole = HEADER_BYTES + header.payload_bytes
        if whole > len(frame):
            grown = memoryview(bytearray(whole))
            grown[:held] = frame[:held]
            frame = grown
        held = self._receive(frame, held, whole, sent=sent, deadline=deadline)
        if held != whole:
            raise RunnerError(f"{held - whole} bytes behind an answer", expected="none before the next request")
        if header.kind == Kind.RESULT:
            self._expected_bytes = whole
        return header, frame[HEADER_BYTES:whole]

    def _receive(self, target: memoryview, held: int, wanted: int, *, sent: bool, deadline: Deadline) -> int:
        """Read into `target`, which holds `held` bytes, until it holds `wanted` or more; how many it holds."""
        try:
            while held < wanted:
                _wait(self._readable, deadline)
                count = self._socket.recv_into(target[held:])
                if count == 0:
                    raise ConnectionLostError(taken=sent)
                held += count
        except ConnectionResetError as error:
            raise ConnectionLostError(taken=False) from error
        return held


def _wait(poller: select.poll, deadline: Deadline) -> None:
    if not poller.poll(deadline.remaining() * 1000):
        raise deadline.passed()


def _behind(pieces: Sequence[bytes | memoryview], sent: int) -> Sequence[bytes | memoryview]:
    """What is left of `pieces` once `sent` bytes of them have gone."""
    for index, piece in enumerate(pieces):
        if sent < len(piece):
            return [memoryview(piece)[sent:], *pieces[index + 1 :]]
        sent -= len(piece)
    return ()


def _connect(opened: socket.socket, path: Path, deadline: Deadline) -> None:
    folder = -1
    try:
        address = os.fsencode(path)
        if len(address) > _LONGEST_SOCKET_PATH:
            folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
            address = os.fsencode(f"/proc/self/fd/{folder}/{path.name}")
        _connect_before(deadline, opened, address)
    except OSError as error:
        raise UnreachableError(
            f"{path}: {error.strerror or error}",
            expected="an agent that listens there, and the right to connect",
            action="start the agent; to run as another user, join the group of its --sockets-group",
        ) from error
    finally:
        if folder >= 0:
            os.close(folder)


def _connect_before(deadline: Deadline, opened: socket.socket, address: bytes) -> None:
    while True:
        try:
            opened.connect(address)
        except BlockingIOError as error:
            full = error
        else:
            return
        try:
            time.sleep(min(_BACKLOG_WAIT_SECONDS, deadline.remaining()))
        except DeadlineError:
            raise BusyError("more clients wait than the model's socket holds", action="ask again later") from full
