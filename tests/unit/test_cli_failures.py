# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno

import click
import pytest
from edgectl.cli.failures import describe_failure
from edgectl_protos.errors import CODE_TABLE, EdgectlError, ErrorCode


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_of_the_table_keeps_its_exit_code(code: ErrorCode) -> None:
    failure = describe_failure(EdgectlError.from_wire(code.value, seen="a", expected="b", action="c"))
    assert (failure.code, failure.exit_code) == (code.value, int(CODE_TABLE[code].exit_code))
    assert failure.line == "error: a; expected b; c"
    assert failure.document == {"error": {"code": code.value, "seen": "a", "expected": "b", "action": "c"}}


def test_message_of_many_lines_becomes_one() -> None:
    failure = describe_failure(EdgectlError("torch said:\n  at line 3\n\x1b[31mred"))
    assert failure.line == "error: torch said: at line 3 \\x1b[31mred"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_interruption_is_130_and_one_word(error: BaseException) -> None:
    failure = describe_failure(error)
    assert (failure.exit_code, failure.line) == (130, "interrupted")


def test_unknown_exception_is_called_a_defect() -> None:
    failure = describe_failure(ZeroDivisionError("division by zero"))
    assert failure.exit_code == 1
    assert failure.line.startswith("error: ZeroDivisionError: division by zero; this is a defect of edgectl")


def test_full_disk_is_no_defect() -> None:
    failure = describe_failure(OSError(errno.ENOSPC, "No space left on device", "out.edge"))
    assert failure.exit_code == 1
    assert failure.line == "error: out.edge: No space left on device; free some space"


def test_mistyped_option_is_answered_with_the_nearest_alone() -> None:
    failure = describe_failure(click.NoSuchOption("--onn", possibilities=["--on"]))
    assert failure.line.startswith("error: No such option")
    assert "--on" in failure.action
    assert "?;" not in failure.line


def test_click_usage_error_points_to_the_help() -> None:
    context = click.Context(click.Command("bench"), info_name="edgectl bench")
    failure = describe_failure(click.UsageError("Missing option '--on'.", context))
    assert (failure.code, failure.exit_code) == ("usage", 2)
    assert failure.line == "error: Missing option '--on'; see 'edgectl bench --help'"
