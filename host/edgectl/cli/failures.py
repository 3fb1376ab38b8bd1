# SPDX-License-Identifier: Apache-2.0
"""What a failure looks like at the command line: one line on stderr, an object in JSON, an exit code. Pure."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import click
from edgectl_protos.errors import CODE_TABLE, EdgectlError, ErrorCode, ExitCode

from edgectl.cli.text import one_line


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure in the words of the error table; `interrupted` has no code there."""

    code: str
    exit_code: int
    seen: str
    expected: str = ""
    action: str = ""

    @property
    def line(self) -> str:
        if self.exit_code == ExitCode.INTERRUPTED:
            return self.seen
        parts = [self.seen, f"expected {self.expected}" if self.expected else "", self.action]
        return one_line("error: " + "; ".join(part for part in parts if part))

    @property
    def document(self) -> dict[str, dict[str, str]]:
        return {
            "error": {"code": self.code, "seen": self.seen, "expected": self.expected, "action": self.action},
        }


def describe_failure(error: BaseException) -> Failure:
    """The failure that `error` is; anything unknown is called a defect of edgectl."""
    match error:
        case EdgectlError():
            return Failure(error.code.value, int(error.exit_code), error.seen, error.expected, error.action)
        case KeyboardInterrupt() | click.Abort():
            return Failure("interrupted", int(ExitCode.INTERRUPTED), "interrupted")
        case click.ClickException():
            return _from_click(error)
        case OSError() if error.errno is not None:
            return _from_system(error)
        case _:
            text = str(error)
            return Failure(
                ErrorCode.INTERNAL.value,
                int(ExitCode.ERROR),
                f"{type(error).__name__}{f': {text}' if text else ''}",
                action="this is a defect of edgectl: run again with EDGECTL_DEBUG=1 and report what it prints",
            )


def _from_click(error: click.ClickException) -> Failure:
    context = error.ctx if isinstance(error, click.UsageError) else None
    seen, _, nearest = error.format_message().partition(" Did you mean ")
    help_line = f"see '{context.command_path} --help'" if context else ""
    return Failure(
        ErrorCode.USAGE.value,
        int(CODE_TABLE[ErrorCode.USAGE].exit_code),
        seen.rstrip("."),
        action=f"did you mean {nearest}" if nearest else help_line,
    )


def _from_system(error: OSError) -> Failure:
    # The file system is the user's: a full disk or a missing permission is no defect of ours.
    where = f"{error.filename}: " if error.filename is not None else ""
    action = "free some space" if error.errno == errno.ENOSPC else "check the path and its permissions"
    return Failure(
        ErrorCode.STATE.value,
        int(ExitCode.ERROR),
        f"{where}{error.strerror or error}",
        action=action if where or error.errno == errno.ENOSPC else "",
    )
