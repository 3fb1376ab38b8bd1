# SPDX-License-Identifier: Apache-2.0
"""`edgectl profile`: the real entry point, real gRPC, and agents that do as scripted."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
import grpc
import pytest
from edgectl.cli.main import run
from edgectl.cli.profile import complete_against
from edgectl.cli.profile import profile as command
from edgectl.lab.testing.scripted_agent import Failure, Script, ScriptedAgent

from tests.program_bundles import make_bundle

Agents = Callable[..., contextlib.AbstractContextManager[list[ScriptedAgent]]]

SCRIPT = Script(
    device="desk",
    execute_us=100.0,
    calls=(
        ("delegate", "XnnpackBackend", 60.0, (("Convolution #1", 30.0), ("Convolution #2", 20.0))),
        ("kernel", "aten::cumsum.out", 40.0, ()),
    ),
)
PLAIN = """\
model on desk: 100.00 us a run, 20 runs, 1 thread
operator             delegate or kernel  calls  p50 us  share
Convolution          XnnpackBackend          2   50.00  50.0%
aten::cumsum.out     kernel                  1   40.00  40.0%
(delegate overhead)  XnnpackBackend          1   10.00  10.0%
1 kernel outside a delegate, 40.0% of the time
"""


def edgectl(*words: object) -> int:
    return run([str(word) for word in words], environ=os.environ)


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Agents:
    """Starts scripted agents that the inventory knows by the names in their scripts."""
    monkeypatch.setenv("EDGECTL_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    @contextlib.contextmanager
    def start(*scripts: Script) -> Iterator[list[ScriptedAgent]]:
        with contextlib.ExitStack() as stack:
            started = [stack.enter_context(ScriptedAgent(script)) for script in scripts]
            for script, agent in zip(scripts, started, strict=True):
                assert edgectl("device", "add", script.device, agent.address) == 0
            capsys.readouterr()
            yield started

    return start


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    program = tmp_path / "any.pte"
    program.write_bytes(b"not looked at by the scripted agent")
    return make_bundle(tmp_path, program).path


def here() -> list[str]:
    """The files in the current folder."""
    return sorted(path.name for path in Path().iterdir())


def test_a_bundle_is_sent_and_profiled_and_does_not_become_active(
    agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agents(SCRIPT) as (desk,):
        assert edgectl("profile", bundle, "--on", "desk", "--runs", "7", "--threads", "2") == 0
        assert desk.calls == ["Hello", "PutBundle", "Profile"]
        request = desk.requests["Profile"]
    assert (request.runs, request.runner.threads, request.etdump) == (7, 2, False)
    out, err = capsys.readouterr()
    assert out == PLAIN.replace("20 runs", "7 runs")
    assert err.rstrip().endswith("(100.00 us a run)")


def test_json_has_the_table_and_the_calls_it_was_made_of(
    agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agents(SCRIPT):
        assert edgectl("profile", bundle, "--on", "desk", "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["share"] for row in document["operators"]] == [0.5, 0.4, 0.1]
    assert [(call["kind"], len(call["operators"])) for call in document["calls"]] == [("delegate", 2), ("kernel", 0)]
    assert "difference" not in document


def test_each_operator_has_a_row_on_request(agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with agents(SCRIPT):
        assert edgectl("profile", bundle, "--on", "desk", "--each") == 0
    assert "Convolution #2       XnnpackBackend, call 0      1   20.00  20.0%\n" in capsys.readouterr().out


def test_a_long_table_is_cut_unless_all_of_it_is_wanted(
    agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = tuple(("kernel", f"aten::op{index}.out", 2.0, ()) for index in range(50))
    with agents(replace(SCRIPT, calls=calls)):
        assert edgectl("profile", bundle, "--on", "desk") == 0
        assert len(capsys.readouterr().out.splitlines()) == 2 + 31 + 1
        assert edgectl("profile", bundle, "--on", "desk", "--all") == 0
        assert len(capsys.readouterr().out.splitlines()) == 2 + 50 + 1


def test_the_page_is_written_whole_and_says_the_same(agents: Agents, bundle: Path) -> None:
    with agents(SCRIPT):
        assert edgectl("profile", bundle, "--on", "desk", "--html", "page.html") == 0
    assert here() == ["page.html"]
    page = Path("page.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "<h1>model on desk</h1>" in page
    assert page.rstrip().endswith("</html>")
    mask = os.umask(0)
    os.umask(mask)
    assert Path("page.html").stat().st_mode & 0o777 == 0o666 & ~mask


def test_what_a_device_calls_its_operators_steers_neither_terminal_nor_page(
    agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agents(replace(SCRIPT, calls=(("kernel", "\x1b[31m<script>\n", 1.0, ()),))):
        assert edgectl("profile", bundle, "--on", "desk", "--html", "page.html") == 0
    assert "\x1b" not in capsys.readouterr().out
    page = Path("page.html").read_text("utf-8")
    assert "\x1b" not in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("none/page", "cannot be written (No such file or directory)"),
        ("folder", "is no file"),
        ("/dev/null", "is no file"),
        ("a-file/page", "cannot be written (Not a directory)"),
        ("x" * 300, "cannot be written (File name too long)"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_device_is_asked(
    place: str, said: str, agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder").mkdir()
    Path("a-file").touch()
    with agents(SCRIPT) as (desk,):
        for option in ("--html", "--etdump"):
            assert edgectl("profile", bundle, "--on", "desk", option, place) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith(f"error: {option} {place} {said}")
        assert desk.calls == []
    assert here() == ["a-file", "folder"]


def test_one_file_for_both_is_refused(agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with agents(SCRIPT) as (desk,):
        assert edgectl("profile", bundle, "--on", "desk", "--etdump", "x", "--html", "./x") == 2
        assert desk.calls == []
    assert "--etdump and --html both x" in capsys.readouterr().err
    assert here() == []


def test_a_device_that_fails_leaves_what_was_there(
    agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("page.html").write_text("earlier")
    crash = Failure(grpc.StatusCode.ABORTED, "runner_failed", "crashed: SIGSEGV", "a profile", "inspect the program")
    with agents(replace(SCRIPT, failures={"Profile": crash})):
        words = ("--html", "page.html", "--etdump", "new.etdp", "-o", "json")
        assert edgectl("profile", bundle, "--on", "desk", *words) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "runner_failed"
    assert here() == ["page.html"]
    assert Path("page.html").read_text() == "earlier"


def test_a_device_that_sends_no_etdump_leaves_no_file(
    agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agents(SCRIPT) as (desk,):
        assert edgectl("profile", bundle, "--on", "desk", "--etdump", "x.etdp", "--html", "page.html") == 1
        assert desk.requests["Profile"].etdump
    assert "without the ETDump" in capsys.readouterr().err
    assert here() == []


def test_a_link_keeps_pointing_to_the_file_that_is_written(agents: Agents, bundle: Path) -> None:
    Path("pages").mkdir()
    Path("page.html").symlink_to("pages/latest.html")
    with agents(SCRIPT):
        assert edgectl("profile", bundle, "--on", "desk", "--html", "page.html") == 0
    assert Path("page.html").is_symlink()
    assert Path("pages/latest.html").read_text("utf-8").startswith("<!doctype html>")


def test_an_unknown_device_is_refused(agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with agents(SCRIPT) as (desk,):
        assert edgectl("profile", bundle, "--on", "dsk") == 2
        assert edgectl("profile", bundle, "--on", "desk", "--against", "dsk") == 2
        assert desk.calls == []
    assert capsys.readouterr().err.count("'dsk'") == 2


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"unit": "ms", "samples": [1.0]}', b"\xff"])
def test_a_file_that_is_no_profile_is_refused_before_the_device_is_asked(
    content: bytes | None, agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path("old.json").write_bytes(content)
    with agents(SCRIPT) as (desk,):
        assert edgectl("profile", bundle, "--on", "desk", "--against", "old.json", "--html", "page.html") == 2
        assert desk.calls == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: old.json")
    assert "page.html" not in here()


def test_a_saved_profile_is_compared_with(agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with agents(SCRIPT):
        assert edgectl("profile", bundle, "--on", "desk", "-o", "json") == 0
        Path("old.json").write_text(capsys.readouterr().out)
        words = ("--against", "old.json", "--html", "page.html")
        assert edgectl("profile", bundle, "--on", "desk", "-o", "json", *words) == 0
        document = json.loads(capsys.readouterr().out)
        assert edgectl("profile", bundle, "--on", "desk", *words) == 0
    out, err = capsys.readouterr()
    assert "warning" not in err
    assert [row["ratio"] for row in document["difference"]["operators"]] == [1.0, 1.0, 1.0]
    assert (document["difference"]["same_bundle"], document["difference"]["circumstances"]) == (True, [])
    assert "here against old.json: 100.00 us a run, 100.00 us there, 1.00 times as long" in out
    assert "what the times depend on is the same on both sides" in out
    assert "<h2>Against desk</h2>" in Path("page.html").read_text("utf-8")


def test_another_device_is_profiled_too_and_another_program_is_said_to_be_one(
    agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = (("delegate", "XnnpackBackend", 50.0, (("Convolution #1", 25.0), ("Cumsum #1", 25.0))),)
    shelf = Script(device="shelf", execute_us=50.0, calls=inside, digest="b" * 64)
    with agents(SCRIPT, shelf) as (desk, other):
        assert edgectl("profile", bundle, "--on", "desk", "--against", "shelf", "--runs", "9") == 0
        assert desk.calls == other.calls == ["Hello", "PutBundle", "Profile"]
        assert desk.requests["Profile"].runs == other.requests["Profile"].runs == 9
        assert desk.uploaded == other.uploaded == bundle.read_bytes()
    out, err = capsys.readouterr()
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "different programs: bundle aaaaaaaaaaaa here, bbbbbbbbbbbb on the other side" in warnings[0]
    assert "here against shelf: 100.00 us a run, 50.00 us there, 2.00 times as long" in out
    assert "aten::cumsum.out     kernel                40.00         -  +40.00   only here       40.0%      -" in out
    assert "Cumsum               XnnpackBackend            -     25.00  -25.00  only there           -  50.0%" in out
    assert "device        desk  shelf\n" in out


def test_a_second_device_that_fails_leaves_no_file(
    agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    busy = Failure(grpc.StatusCode.FAILED_PRECONDITION, "state", "a measurement runs", "none", "wait for it")
    with agents(SCRIPT, Script(device="shelf", failures={"Profile": busy})):
        assert edgectl("profile", bundle, "--on", "desk", "--against", "shelf", "--html", "page.html") == 1
    assert "a measurement runs; expected none; wait for it" in capsys.readouterr().err
    assert here() == []


def test_a_name_that_is_not_active_there_says_what_is(agents: Agents, capsys: pytest.CaptureFixture[str]) -> None:
    with agents(SCRIPT) as (desk,):
        assert edgectl("profile", "digits", "--on", "desk") == 1
        assert desk.calls == ["Hello"]
    assert "no active model 'digits' on desk" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--runs", "0"), ("--runs", "1001"), ("--threads", "-1"), ("--threads", "257")])
def test_numbers_out_of_range_are_usage_errors(
    words: tuple[str, str], agents: Agents, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agents(SCRIPT) as (desk,):
        assert edgectl("profile", bundle, "--on", "desk", *words) == 2
        assert desk.calls == []
    assert words[0] in capsys.readouterr().err


def test_the_shell_completes_devices_and_files_after_against(agents: Agents) -> None:
    with agents(SCRIPT):
        parameter = next(one for one in command.params if one.name == "against")
        items = complete_against(click.Context(command), parameter, "de")
    assert [(item.value, item.type) for item in items] == [("desk", "plain"), ("de", "file")]
