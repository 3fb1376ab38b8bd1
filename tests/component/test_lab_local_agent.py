# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from edgectl.lab.local import LocalAgent
from edgectl_protos.errors import StateError, UnreachableError, UsageError

from tests.agents import eventually, is_alive

READY = 'print(\'{"ready": true, "listen": "127.0.0.1:7000"}\', flush=True)'
SLEEPING_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[sys.argv.index("--state") + 1] + "/child", "w").write(str(child.pid))
"""


def program(*lines: str) -> Sequence[str]:
    """A command that behaves like an agent so far as its process goes."""
    return (sys.executable, "-c", "\n".join(("import sys, time, signal", *lines)))


def local(state: Path, *lines: str, seconds: float = 60.0) -> LocalAgent:
    return LocalAgent(state, agent_command=program(*lines), start_seconds=seconds)


def test_it_is_told_where_and_who_it_is(tmp_path: Path) -> None:
    show = "open(sys.argv[sys.argv.index('--state') + 1] + '/arguments', 'w').write(' '.join(sys.argv[1:]))"
    agent = LocalAgent(
        tmp_path,
        device="bench",
        mqtt=("127.0.0.1", 1883),
        telemetry_interval=0.5,
        agent_command=program(show, READY, "time.sleep(600)"),
    )
    with agent:
        assert agent.address == "127.0.0.1:7000"
        arguments = (tmp_path / "arguments").read_text()
    assert arguments == (
        f"run --listen 127.0.0.1:0 --state {tmp_path} --device bench --die-with-parent "
        "--mqtt 127.0.0.1:1883 --telemetry-interval 0.5"
    )
    with pytest.raises(StateError, match="not running"):
        _ = agent.address


def test_nothing_of_its_group_is_left(tmp_path: Path) -> None:
    with local(tmp_path, SLEEPING_CHILD, READY, "time.sleep(600)"):
        child = int((tmp_path / "child").read_text())
        assert is_alive(child)
    eventually(lambda: not is_alive(child))


def test_an_agent_that_ignores_the_request_to_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgectl.lab.local._STOP_SECONDS", 0.2)
    with local(tmp_path, "signal.signal(15, signal.SIG_IGN)", SLEEPING_CHILD, READY, "time.sleep(600)"):
        child = int((tmp_path / "child").read_text())
    eventually(lambda: not is_alive(child))


def test_an_agent_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    agent = local(tmp_path, "sys.stderr.write('no libexecutorch\\n'); sys.exit(3)")
    with pytest.raises(UnreachableError, match=r"ended at once with status 3: no libexecutorch; .*agent\.log"), agent:
        pass
    assert (tmp_path / "agent.log").read_text() == "no libexecutorch\n"


def test_an_agent_that_keeps_silent_is_ended(tmp_path: Path) -> None:
    agent = local(tmp_path, SLEEPING_CHILD, "time.sleep(600)", seconds=2.0)
    with pytest.raises(UnreachableError, match="said nothing for 2 s"), agent:
        pass
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not is_alive(child))


@pytest.mark.parametrize("said", ["hello", '{"ready": false, "listen": "x:1"}', '{"ready": true}', "[1]"])
def test_an_agent_that_says_something_else_is_ended(tmp_path: Path, said: str) -> None:
    agent = local(tmp_path, f"print({said!r}, flush=True)", "time.sleep(600)")
    with pytest.raises(UnreachableError, match="the local agent said '"), agent:
        pass


def test_much_output_never_blocks_it(tmp_path: Path) -> None:
    done = "open(sys.argv[sys.argv.index('--state') + 1] + '/done', 'w').close()"
    with local(tmp_path, READY, "sys.stdout.write('x' * (1 << 20)); sys.stdout.flush()", done, "time.sleep(600)"):
        eventually((tmp_path / "done").exists)


def test_a_second_agent_in_the_same_folder_waits_for_nobody(tmp_path: Path) -> None:
    with local(tmp_path, READY, "time.sleep(600)") as first:
        with pytest.raises(StateError, match="another edgectl is using the local agent"):
            local(tmp_path, READY, "time.sleep(600)").__enter__()
        assert first.address
    with local(tmp_path, READY, "time.sleep(600)"):
        pass


def test_a_missing_agent_distribution_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UsageError, match="pip install edgectl-agent"):
        LocalAgent(tmp_path / "state").__enter__()
    assert not (tmp_path / "state").exists()


def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="/no/such/agent cannot be started"):
        LocalAgent(tmp_path, agent_command=("/no/such/agent",)).__enter__()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        LocalAgent(tmp_path / "file" / "state", agent_command=program(READY)).__enter__()


@pytest.mark.parametrize("moment", ["starting", "running"])
def test_ctrl_c_leaves_no_process(tmp_path: Path, moment: str) -> None:
    """A real SIGINT to a real process that holds a local agent, which has a child of its own."""
    ready = READY if moment == "running" else "pass"
    holder = f"""
from pathlib import Path
import time
from edgectl.lab.local import LocalAgent
command = {list(program(SLEEPING_CHILD, ready, "time.sleep(600)"))!r}
try:
    with LocalAgent(Path({str(tmp_path)!r}), agent_command=command):
        time.sleep(600)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True) as process:
        child_file = tmp_path / "child"
        eventually(lambda: child_file.exists() and child_file.read_text())
        child = int(child_file.read_text())
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert output == "interrupted\n"
    eventually(lambda: not is_alive(child))
