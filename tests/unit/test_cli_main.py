# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable

import click
import pytest
from edgectl.cli import main as entry
from edgectl.cli.groups import CommandEntry
from edgectl_protos.errors import GateError


def _raising(error: BaseException) -> click.Command:
    def callback() -> None:
        raise error

    return click.Command("bench", params=[click.Option(["-o", "--output"])], callback=lambda **_: callback())


@pytest.fixture
def bench_raises(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    def place(error: BaseException) -> None:
        monkeypatch.setattr(entry.edgectl, "get_command", lambda _context, _name: _raising(error))

    return place


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["bnch"], environ={}) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: unknown command 'edgectl bnch'; expected one of demo,")
    assert err.endswith("did you mean 'bench'?\n")


def test_no_command_shows_help_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run([], environ={}) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Commands:" in err


def test_help_says_what_a_failed_gate_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["--help"], environ={}) == 0
    assert "6 gate failed and the active bundle stays" in " ".join(capsys.readouterr().out.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["--version"], environ={}) == 0
    assert capsys.readouterr().out.startswith("edgectl 0.")


def test_gate_failure_exits_6_and_says_so_twice_in_json(
    bench_raises: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    bench_raises(GateError("output 0 differs by 3.0", expected="at most 0.1", action="lower it again"))
    assert entry.run(["bench", "-o", "json"], environ={}) == 6
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "error": {
            "code": "gate_failed",
            "seen": "output 0 differs by 3.0",
            "expected": "at most 0.1",
            "action": "lower it again",
        }
    }
    assert err == "error: output 0 differs by 3.0; expected at most 0.1; lower it again\n"


def test_error_without_json_leaves_stdout_empty(
    bench_raises: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    bench_raises(GateError("seen"))
    assert entry.run(["bench"], environ={}) == 6
    assert capsys.readouterr().out == ""


def test_interruption_is_130(bench_raises: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]) -> None:
    bench_raises(KeyboardInterrupt())
    assert entry.run(["bench"], environ={}) == 130
    assert capsys.readouterr().err.split() == ["interrupted"]


@pytest.mark.parametrize(("debug", "shown"), [("", False), ("1", True)])
def test_traceback_of_a_defect_only_when_asked(
    bench_raises: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str], debug: str, shown: int
) -> None:
    bench_raises(ZeroDivisionError("division by zero"))
    assert entry.run(["bench"], environ={"EDGECTL_DEBUG": debug}) == 1
    err = capsys.readouterr().err
    assert ("Traceback" in err) == shown
    assert "error: ZeroDivisionError: division by zero; this is a defect of edgectl" in err


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["bench", "x", "-o", "json"], True),
        (["bench", "x", "-ojson"], True),
        (["bench", "--output=json", "x"], True),
        (["bench", "--output", "json", "--nonsense"], True),
        (["bench", "-o", "json", "-o", "table"], False),
        (["infer", "--output-dir", "json"], False),
        (["bench", "-o"], False),
        ([], False),
    ],
)
def test_wish_for_json_is_read_from_the_words(words: list[str], wanted: int) -> None:
    assert entry.wants_json(words) == wanted


def test_format_before_the_command_counts_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["-o", "json", "completion", "bash"], environ={}) == 0
    assert json.loads(capsys.readouterr().out)["shell"] == "bash"
    assert entry.run(["-o", "json", "completion", "bash", "-o", "plain"], environ={}) == 0
    assert not capsys.readouterr().out.startswith("{")


def test_usage_error_of_an_unparsable_line_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["completion", "tcsh", "-o", "json"], environ={}) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == "usage"
    assert "see 'edgectl completion --help'" in err


def test_every_entry_of_the_table_has_help_of_one_sentence() -> None:
    for name, command in entry.COMMANDS.items():
        assert isinstance(command, CommandEntry)
        assert command.help.endswith("."), name
        assert command.help.count(". ") == 0, name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed_without_the_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["completion", shell], environ={}) == 0
    assert "_EDGECTL_COMPLETE" in capsys.readouterr().out
