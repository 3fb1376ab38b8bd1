# SPDX-License-Identifier: Apache-2.0
"""The scripts of deploy/provisioning, called: what they tell becomes values, what they refuse becomes an error."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil
from edgectl_protos.errors import InternalError, StateError, UnreachableError, UsageError

import edgectl
from edgectl.lab.convert import printable

SSH_VARIABLE = "EDGECTL_SSH"
"""The ssh command with its options, as GIT_SSH_COMMAND is git's."""

_CONTROL_VARIABLE = "EDGECTL_SSH_CONTROL"
_REFUSED = 10
_LOOK_SECONDS, _INSTALL_SECONDS = 120.0, 1_800.0
_STOP_SECONDS = 10.0
_MAX_OUTPUT = 1 << 20
_ERROR = re.compile(r"error: (?P<seen>.*?)(?:; expected (?P<expected>.*?)(?:; (?P<action>.*))?)?")
_FACT = re.compile(r"([a-z_]+)=(.*)")
_OUTCOMES = ("ok", "warning", "wrong")

Say = Callable[[str], object]
"""Takes a line about what is being done."""


@dataclass(frozen=True, slots=True)
class SeenBoard:
    """What a board told of itself; `device` and `installed` are "" where it has no agent."""

    machine: str
    board: str
    system: str
    libc: str
    python: str
    root: str
    installed: str
    device: str
    listen: str

    @property
    def asks_password(self) -> bool:
        """Whether sudo asks for one there, on the terminal."""
        return self.root == "password"

    @property
    def words(self) -> str:
        """One line for people."""
        named = f"{self.board}, {self.system}" if self.board else self.system
        return f"{named or 'unknown system'}, {self.machine}, Python {self.python or 'missing'}"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One line of `edge-agent doctor`."""

    name: str
    outcome: str
    seen: str
    fix: str


class Provisioner:
    """One board over ssh, as `destination` names it for ssh. The connection is opened once; `provisioner` closes it.

    `patience` is how many seconds the board has for anything but an installation.
    """

    def __init__(
        self,
        destination: str,
        *,
        scripts: Path,
        environ: Mapping[str, str],
        say: Say,
        patience: float = _LOOK_SECONDS,
    ) -> None:
        self.destination = check_destination(destination)
        self._patience = patience
        self._scripts = scripts
        self._environ = dict(environ)
        self._say = say

    def look(self) -> SeenBoard:
        """Ask what the board is.

        Raises:
            StateError: it cannot be logged in to, or cannot run the agent; the message says which and what to do.
            UnreachableError: it hangs; as with each of these.
        """
        return parse_facts(self._run(["install.sh", "--check"], quiet=True))

    def install(self, words: Sequence[str], name: str, *, terminal: bool) -> None:
        """Install with these options of install.sh; `terminal` lets sudo ask for its password.

        Raises:
            StateError: refused, or failed; the board runs what it ran before.
        """
        self._run(["install.sh", *words], after=[name], terminal=terminal, seconds=_INSTALL_SECONDS)

    def rollback(self, *, terminal: bool) -> None:
        """Put back what was there before the last install. Raises StateError."""
        self._run(["install.sh", "--rollback"], terminal=terminal, seconds=_INSTALL_SECONDS)

    def doctor(self) -> tuple[DoctorFinding, ...]:
        """What `edge-agent doctor` finds there.

        Raises:
            StateError: it could not be run.
        """
        return parse_findings(self._run(["install.sh", "--doctor"], quiet=True, accepted=(0, 1)))

    def uninstall(self, *, purge: bool, dry_run: bool, terminal: bool) -> tuple[SeenBoard, tuple[str, ...]]:
        """Remove the agent. What the board was, and what was or would be done, a line each. Raises StateError."""
        words = [*(["--purge"] if purge else []), *(["--dry-run"] if dry_run else [])]
        told = self._run(["uninstall.sh", *words], quiet=True, terminal=terminal)
        lines = (printable(line) for line in told.splitlines() if line and _FACT.fullmatch(line) is None)
        return parse_facts(told), tuple(lines)

    def _run(
        self,
        words: Sequence[str],
        *,
        after: Sequence[str] = (),
        quiet: bool = False,
        terminal: bool = False,
        accepted: tuple[int, ...] = (0,),
        seconds: float | None = None,
    ) -> str:
        """What a script writes on its output, where it ends well."""
        script, *options = words
        command = ["sh", str(self._scripts / script), *options, "--", self.destination, *after]
        said = _Said(self._say, quiet=quiet)
        with subprocess.Popen(
            command,
            env=self._environ,
            # sudo asks on the terminal it is given, and what it asks has no end of line: it is passed through.
            stdin=None if terminal else subprocess.DEVNULL,
            stdout=None if terminal else subprocess.PIPE,
            stderr=None if terminal else subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            said.follow(process, self._patience if seconds is None else seconds)
        if process.returncode in accepted:
            return said.output
        raise _failure(process.returncode, said.error, said.last, terminal=terminal)


class _Said:
    """Reads a script's two outputs as it runs: its lines are said at once, the one with its error is kept."""

    def __init__(self, say: Say, *, quiet: bool) -> None:
        self.error = ""
        self.last: deque[str] = deque(maxlen=3)
        self._say = say
        self._quiet = quiet
        self._output: list[str] = []
        self._size = 0

    @property
    def output(self) -> str:
        return "".join(self._output)

    def follow(self, process: subprocess.Popen[str], seconds: float) -> None:
        streams = [(process.stdout, self._take_output), (process.stderr, self._take_error)]
        readers = [
            threading.Thread(target=_each_line, args=(stream, take), daemon=True) for stream, take in streams if stream
        ]
        for reader in readers:
            reader.start()
        try:
            process.wait(seconds)
            for reader in readers:
                reader.join(5.0)
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(
                f"the board had not done it after {seconds:g} s",
                expected="an end",
                action="check the board, and try again",
            ) from error
        finally:
            _end(process)

    def _take_output(self, line: str) -> None:
        self._size += len(line)
        if self._size <= _MAX_OUTPUT:
            self._output.append(line)
        if not self._quiet and line.strip() and _FACT.fullmatch(line.strip()) is None:
            self._say(printable(line.strip()))

    def _take_error(self, line: str) -> None:
        text = printable(line.strip())
        if text.startswith("error: "):
            self.error = text
        elif text:
            self.last.append(text)
            if not self._quiet:
                self._say(text)


@contextlib.contextmanager
def provisioner(destination: str, *, environ: Mapping[str, str], say: Say) -> Iterator[Provisioner]:
    """The board at `destination`, over one connection that is closed at the end.

    Raises:
        UsageError: it is no destination, or the scripts are not installed.
    """
    with tempfile.TemporaryDirectory(prefix="edgectl-ssh-") as control:
        board = Provisioner(
            destination, scripts=scripts_folder(), environ=dict(environ) | {_CONTROL_VARIABLE: control}, say=say
        )
        try:
            yield board
        finally:
            for socket in Path(control).iterdir():
                _close_master(destination, socket, environ)


def host_of(destination: str, *, environ: Mapping[str, str]) -> str:
    """The address that ssh dials for `destination`, as the user's configuration has it.

    Raises:
        UsageError: there is no ssh, or it does not take the destination.
    """
    words = [*_ssh_words(environ), "-G", "--", check_destination(destination)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30, env=dict(environ))
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(
            f"{words[0]} does not take {destination!r}",
            expected="an ssh client, and USER@HOST",
            action="install openssh-client, or correct it",
        ) from error
    found = re.search(r"^hostname (\S+)$", done.stdout, re.MULTILINE)
    return found[1] if found else destination.rpartition("@")[2]


def check_destination(destination: str) -> str:
    """Return what ssh can take as a destination and nothing as an option.

    Raises:
        UsageError: it cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9_\[][^\s'\"\\$`;&|<>()]*", destination):
        raise UsageError(
            f"destination {destination[:80]!r}",
            expected="USER@HOST, as ssh takes it",
            action="correct it, such as pi@192.168.1.20",
        )
    return destination


def scripts_folder() -> Path:
    """Where deploy/provisioning is; the package has it, and in a checkout a link to it.

    Raises:
        InternalError: nowhere.
    """
    folder = Path(edgectl.__file__).resolve().parent / "provisioning"
    if not (folder / "install.sh").is_file():
        raise InternalError("edgectl is installed without its provisioning scripts", action="install it again")
    return folder


def parse_facts(text: str) -> SeenBoard:
    """The board in the NAME=VALUE lines of `board.sh check`; whatever else is printed there is passed over."""
    facts = {match[1]: printable(match[2]) for line in text.splitlines() if (match := _FACT.fullmatch(line))}
    return SeenBoard(**{name: facts.get(name, "") for name in SeenBoard.__dataclass_fields__})


def parse_findings(text: str) -> tuple[DoctorFinding, ...]:
    """The findings in what `edge-agent doctor -o json` printed.

    Raises:
        StateError: it is something else.
    """
    try:
        document: Any = json.loads(text[text.index("{") :])
        checks = [_finding(entry) for entry in document["checks"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StateError(
            "the board's doctor answered something else than its findings",
            expected="the JSON of edge-agent doctor",
            action="run it there: sudo /opt/edgectl/bin/edge-agent doctor",
        ) from error
    return tuple(checks)


def _finding(entry: Any) -> DoctorFinding:
    name, outcome, seen, fix = (printable(str(entry[key])) for key in ("name", "outcome", "seen", "fix"))
    if outcome not in _OUTCOMES:
        raise ValueError(outcome)
    return DoctorFinding(name, outcome, seen, fix)


def _failure(status: int, error: str, last: deque[str], *, terminal: bool) -> StateError:
    match = _ERROR.fullmatch(error)
    if match is not None:
        return StateError(match["seen"], expected=match["expected"] or "", action=match["action"] or "")
    if terminal:
        return StateError("the board could not be changed", expected="no error above", action="correct that")
    told = f": {' | '.join(last)}" if last else ""
    return StateError(
        f"the script for the board ended with status {status}{told}", expected="0", action="see what it said; try again"
    )


def _each_line(stream: IO[str], take: Callable[[str], None]) -> None:
    with contextlib.suppress(ValueError, OSError):  # closed under us
        for line in stream:
            take(line)


def _end(process: subprocess.Popen[str]) -> None:
    """End a script that still runs, with its ssh, which is in our process group as it may ask for a password.

    A shell looks at a signal when what it waits for has ended. It then cleans up on the board, which may hang as well.
    """
    process.terminate()
    _end_children(process)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _end_children(process)  # while they are known as its own
        process.kill()


def _end_children(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.terminate()


def _close_master(destination: str, socket: Path, environ: Mapping[str, str]) -> None:
    words = [*_ssh_words(environ), "-o", f"ControlPath={socket}", "-O", "exit", "--", destination]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(words, capture_output=True, check=False, timeout=10, env=dict(environ))


def _ssh_words(environ: Mapping[str, str]) -> list[str]:
    return environ.get(SSH_VARIABLE, "").split() or ["ssh"]
