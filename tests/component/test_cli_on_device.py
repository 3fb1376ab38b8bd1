# SPDX-License-Identifier: Apache-2.0
"""Commands that talk to a device: the real entry point, real gRPC, and an agent that does as scripted."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import struct
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from edgectl.cli import telemetry
from edgectl.cli.main import run
from edgectl.lab.testing.scripted_agent import Failure, Script, ScriptedAgent
from edgectl.lower.bundle import write_members
from edgectl_protos.manifest import Manifest, Member, Requirements, Tolerance
from edgectl_protos.metrics import Metric, TelemetryRecord
from edgectl_protos.tensors import TensorSpec

from tests.agents import eventually

LABELS = ("zero", "one", "two")
PROGRAM = b"not looked at by the scripted agent"
OUTPUT = ("float32", (1, 3), struct.pack("<3f", 0.5, 2.0, -1.0))
Agent = Callable[[Script], contextlib.AbstractContextManager[ScriptedAgent]]


def edgectl(*words: str) -> int:
    return run(words, environ=os.environ)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Agent:
    """Starts a scripted agent that the inventory knows as `desk`."""
    monkeypatch.setenv("EDGECTL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    @contextlib.contextmanager
    def start(script: Script) -> Iterator[ScriptedAgent]:
        with ScriptedAgent(script) as started:
            assert edgectl("device", "add", "desk", started.address) == 0
            capsys.readouterr()
            yield started

    return start


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "model-1.edge"
    manifest = Manifest(
        name="model",
        version="1",
        members={"model.pte": Member(hashlib.sha256(PROGRAM).hexdigest(), len(PROGRAM))},
        inputs=(TensorSpec("float32", (1, 2)),),
        outputs=(TensorSpec("float32", (1, 3)),),
        requirements=Requirements("executorch 1.5.1", ("x86_64",), ()),
        golden=(),
        tolerance=Tolerance(1e-4, 1e-3),
        delegated_fraction=1.0,
        labels=LABELS,
    )
    write_members(path, manifest=manifest, contents={"model.pte": PROGRAM})
    return path


@pytest.fixture
def array(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", np.zeros((1, 2), dtype=np.float32))
    return tmp_path / "x.npy"


def test_bench_sends_the_bundle_and_prints_the_measurement(
    agent: Agent, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(Script(device="desk", blocks=((1.0, 2.0), (1.0, 2.0), (1.0, 2.0)))) as started:
        assert edgectl("bench", str(bundle), "--on", "desk", "--protocol", "short", "-o", "json") == 0
        assert started.uploaded == bundle.read_bytes()
        assert "Activate" not in started.calls
    out, err = capsys.readouterr()
    measured = json.loads(out)
    assert (measured["unit"], measured["p50"], measured["p95"]) == ("ms", 1.5, None)
    assert measured["samples"] == [1.0, 2.0] * 3
    assert measured["memory"]["program_bytes"] == 1000
    assert measured["protocol"] == "short"
    assert err.rstrip().endswith("(p50 1.500 ms over 6 runs)")


def test_bench_table_shows_figures_and_why_a_quantile_is_missing(
    agent: Agent, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(Script(device="desk")):
        assert edgectl("bench", str(bundle), "--on", "desk") == 0
    out = capsys.readouterr().out
    assert "p50                  1.000 ms" in out
    assert "p99                  too few samples" in out
    assert "samples              4 in 2 blocks, protocol standard" in out


def test_bench_repeated_says_how_many_were_accepted_and_how_far_they_lie_apart(
    agent: Agent, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(Script(device="desk")) as started:
        assert edgectl("bench", str(bundle), "--on", "desk", "--repeat", "3", "-o", "json") == 0
        assert started.calls.count("Benchmark") == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["repeats"], document["accepted"], document["p50_spread"]) == (3, 3, 0.0)
    assert [run["quality"] for run in document["runs"]] == ["ok"] * 3


def test_bench_repeated_and_never_accepted_has_no_spread(
    agent: Agent, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(Script(device="desk", reasons=("the block medians vary",))):
        assert edgectl("bench", str(bundle), "--on", "desk", "--repeat", "2") == 0
    out = capsys.readouterr().out
    assert "degraded: the block medians vary" in out
    assert out.rstrip().endswith("0 of 2 accepted")


def test_bench_repeated_goes_on_after_a_crash_and_where_all_crash_says_the_last(
    agent: Agent, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crash = Failure(grpc.StatusCode.ABORTED, "runner_failed", "edge-runner crashed: SIGSEGV", "exit 0", "see the log")
    with agent(Script(device="desk", failures={"Benchmark": crash})) as started:
        assert edgectl("bench", str(bundle), "--on", "desk", "--repeat", "2", "-o", "json") == 1
        assert started.calls.count("Benchmark") == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["seen"] == "edge-runner crashed: SIGSEGV"
    assert "measurement 1 of 2 failed: edge-runner crashed: SIGSEGV" in err


def test_bench_takes_one_thread_unless_asked_otherwise(agent: Agent, bundle: Path) -> None:
    with agent(Script(device="desk")) as started:
        assert edgectl("bench", str(bundle), "--on", "desk") == 0
        assert started.requests["Benchmark"].runner.threads == 1
        assert edgectl("bench", str(bundle), "--on", "desk", "--threads", "0") == 0
        assert started.requests["Benchmark"].runner.threads == 0


def test_bench_passes_on_how_the_runner_is_to_be_started(agent: Agent, bundle: Path) -> None:
    flags = ["--threads", "2", "--cpus", "0,2-3", "--priority", "high", "--memory-limit", "64MB", "--allow-undelegated"]
    with agent(Script(device="desk")) as started:
        assert edgectl("bench", str(bundle), "--on", "desk", "--time-limit", "90s", *flags) == 0
        request = started.requests["Benchmark"]
    runner = request.runner
    assert (runner.threads, list(runner.cpus), runner.nice, runner.memory_limit_bytes) == (
        2,
        [0, 2, 3],
        -10,
        64_000_000,
    )
    assert (request.allow_undelegated, request.time_limit_seconds) == (True, 90.0)


def test_bench_against_an_earlier_measurement_warns_of_what_differs(
    agent: Agent, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = tmp_path / "earlier.json"
    command = ("bench", str(bundle), "--on", "desk", "--against", str(earlier))
    with agent(Script(device="desk")):
        assert edgectl(*command[:-2], "-o", "json") == 0
        saved = json.loads(capsys.readouterr().out)
        earlier.write_text(json.dumps(saved | {"p50": 2.0, "p50_interval": [1.9, 2.1]}))
        assert edgectl(*command, "--protocol", "short", "-o", "json") == 0
        out, err = capsys.readouterr()
        comparison = json.loads(out)["comparison"]
        assert (comparison["ratio"], comparison["distinct"]) == (0.5, True)
        assert "warning: the protocol differs: " in err
        assert edgectl(*command) == 0
    out, err = capsys.readouterr()
    assert "the intervals are apart" in out
    assert "warning" not in err


def test_bench_against_a_file_of_something_else_reaches_no_device(
    agent: Agent, bundle: Path, array: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(Script(device="desk")) as started:
        assert edgectl("bench", str(bundle), "--on", "desk", "--against", str(array)) == 2
        assert started.calls == []
    assert "expected what `edgectl bench -o json` writes" in capsys.readouterr().err


def test_bench_at_a_rate_reports_what_a_monitor_cares_about(
    agent: Agent, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--rate", "30", "--deadline", "20ms", "--seconds", "2"]
    with agent(Script(device="desk")) as started:
        assert edgectl("bench", str(bundle), "--on", "desk", *flags, "-o", "json") == 0
        request = started.requests["RunPeriodic"]
        assert "Benchmark" not in started.calls
    assert (request.rate_hz, request.deadline_ms, request.seconds) == (30.0, 20.0, 2.0)
    document = json.loads(capsys.readouterr().out)
    assert {"missed", "missed_share", "jitter_ms", "longest_gap_ms", "response"} <= set(document)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--rate", "30"], "no --deadline"),
        (["--deadline", "20ms"], "no --rate"),
        (["--seconds", "2"], "--seconds without --rate"),
        (["--rate", "30", "--deadline", "20ms", "--repeat", "2"], "--repeat with --rate"),
        (["--rate", "30", "--deadline", "20ms", "--protocol", "short"], "--protocol with --rate"),
        (["--rate", "0", "--deadline", "20ms"], "a rate of 0"),
        (["--rate", "10000", "--deadline", "1ms", "--seconds", "3600"], "a number of releases of 3.6e+07"),
        (["--deadline", "soon", "--rate", "3"], "'soon' is no duration"),
        (["--memory-limit", "64"], "'64' is no size"),
        (["--repeat", "2", "--against", "earlier.json"], "--against with --repeat"),
        (["--time-limit", "0s"], "--time-limit 0"),
        (["--protocol", "standart"], "expected 'standard'"),
    ],
)
def test_bench_flags_that_do_not_fit_reach_no_device(
    agent: Agent, bundle: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    with agent(Script(device="desk")) as started:
        assert edgectl("bench", str(bundle), "--on", "desk", *flags) == 2
        assert started.calls == []
    assert said in capsys.readouterr().err


def test_a_program_outside_the_delegate_is_an_error_that_names_the_flag(
    agent: Agent, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = Failure(
        grpc.StatusCode.FAILED_PRECONDITION,
        "undelegated",
        "1 operator runs outside the delegate: aten::sin.out (99.0 % of the time)",
        "every operator inside",
        "ask for it with --allow-undelegated",
    )
    with agent(Script(device="desk", failures={"Benchmark": refused})):
        assert edgectl("bench", str(bundle), "--on", "desk", "-o", "json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == "undelegated"
    assert "--allow-undelegated" in err


def test_bench_of_a_name_that_is_not_there_says_what_is(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    with agent(Script(device="desk")) as started:
        assert edgectl("bench", "digits", "--on", "desk") == 1
        assert started.calls == ["Hello"]
    assert "no active model 'digits' on desk; expected one of its active models: none" in capsys.readouterr().err


def test_deploy_activates_what_it_sent(agent: Agent, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with agent(Script(device="desk")) as started:
        assert edgectl("deploy", str(bundle), "--on", "desk", "-o", "json") == 0
        assert started.calls == ["Hello", "PutBundle", "Activate"]
    deployed = json.loads(capsys.readouterr().out)
    assert (deployed["name"], deployed["previous_digest"], deployed["device"]) == ("model", None, "desk")


def test_failed_gate_exits_6_with_the_agents_words(
    agent: Agent, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = Failure(grpc.StatusCode.FAILED_PRECONDITION, "gate_failed", "output 0 is 3.0 off", "0.1", "lower it again")
    with agent(Script(device="desk", failures={"Activate": gate})):
        assert edgectl("deploy", str(bundle), "--on", "desk", "-o", "json") == 6
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == "gate_failed"
    assert err.splitlines()[-1] == "error: output 0 is 3.0 off; expected 0.1; lower it again"


@pytest.mark.parametrize("command", ["deploy", "bench", "infer"])
def test_file_that_is_no_bundle_reaches_no_device(
    command: str, agent: Agent, array: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    array.with_name("not.edge").write_bytes(b"PK but no zip")
    extra = ["--input", str(array)] if command == "infer" else []
    with agent(Script(device="desk")) as started:
        assert edgectl(command, "not.edge", "--on", "desk", *extra, "-o", "json") == 1
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "bundle_damaged"
        for path, said in (("absent.edge", "no file absent.edge"), (f"{array.parent}/", "is a folder")):
            assert edgectl(command, path, "--on", "desk", *extra) == 2
            assert said in capsys.readouterr().err
        assert started.calls == []


def test_rollback_says_both_digests(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    with agent(Script(device="desk")):
        assert edgectl("rollback", "model", "--on", "desk") == 0
    assert capsys.readouterr().out == f"model on desk is back to {'b' * 12}, from {'a' * 12}\n"


def test_nothing_to_roll_back_is_an_error(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = Failure(grpc.StatusCode.FAILED_PRECONDITION, "state", "one version of model", "two", "deploy another")
    with agent(Script(device="desk", failures={"Rollback": nothing})):
        assert edgectl("rollback", "model", "--on", "desk") == 1
    assert "one version of model; expected two; deploy another" in capsys.readouterr().err


def test_infer_of_a_bundle_names_the_best_labels_and_keeps_outputs(
    agent: Agent, bundle: Path, array: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(Script(device="desk", outputs=(OUTPUT,))):
        kept = tmp_path / "kept"
        words = ["infer", str(bundle), "--on", "desk", "--input", str(array), "--output-dir", str(kept), "-o", "json"]
        assert edgectl(*words) == 0
    result = json.loads(capsys.readouterr().out)
    assert [entry["label"] for entry in result["top"]] == ["one", "zero", "two"]
    assert result["outputs"] == [{"dtype": "float32", "shape": [1, 3], "values": [[0.5, 2.0, -1.0]]}]
    assert [path.name for path in kept.iterdir()] == ["output0.npy"]
    assert np.load(kept / "output0.npy").tolist() == [[0.5, 2.0, -1.0]]


def test_input_that_does_not_fit_the_bundle_reaches_no_device(
    agent: Agent, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "long.npy", np.zeros((1, 3), dtype=np.float32))
    with agent(Script(device="desk")) as started:
        assert edgectl("infer", str(bundle), "--on", "desk", "--input", "long.npy", "-o", "json") == 1
        assert started.calls == []
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == "input_mismatch"
    assert err.startswith("error: input 0 is float32[1, 3]; expected float32[1, 2]")


def test_infer_of_a_name_sends_no_bundle(agent: Agent, array: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with agent(Script(device="desk", outputs=(OUTPUT,))) as started:
        assert edgectl("infer", "model", "--on", "desk", "--input", str(array)) == 0
        assert started.calls == ["Hello", "Infer"]
    assert "float32[1, 3]  0.5 2 -1" in capsys.readouterr().out


def test_pickled_input_reaches_no_device(agent: Agent, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    with agent(Script(device="desk")) as started:
        assert edgectl("infer", "model", "--on", "desk", "--input", "x.npy", "-o", "json") == 1
        assert started.calls == []
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "input_mismatch"


def test_device_show_tells_what_the_agent_is(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    with agent(Script(device="desk")):
        assert edgectl("device", "show", "desk", "-o", "json") == 0
        assert json.loads(capsys.readouterr().out)["runtime"] == "executorch 1.5.1"
        assert edgectl("device", "show", "desk") == 0
        assert "no models installed" in capsys.readouterr().out


def test_agent_that_is_gone_is_unreachable(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    with agent(Script(device="desk")):
        pass
    assert edgectl("device", "show", "desk") == 1
    assert "is edge-agent running there?" in capsys.readouterr().err


def test_agent_of_another_protocol_is_asked_for_nothing(
    agent: Agent, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(Script(device="desk", protocol=2)) as started:
        assert edgectl("deploy", str(bundle), "--on", "desk", "-o", "json") == 1
        assert set(started.calls) == {"Hello"}
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "protocol_mismatch"


def _records(count: int) -> tuple[TelemetryRecord, ...]:
    metrics = (Metric("board.cpu", "percent", 3.0),)
    return tuple(TelemetryRecord("desk", "boot", number, number, number, metrics) for number in range(1, count + 1))


def test_tail_stops_at_the_count(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    with agent(Script(device="desk", records=_records(5))):
        assert edgectl("telemetry", "tail", "--on", "desk", "--count", "3", "-o", "json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["sequence"] for line in lines] == [1, 2, 3]


def test_tail_that_gets_fewer_than_asked_is_a_timeout(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    with agent(Script(device="desk", records=_records(2))):
        assert edgectl("telemetry", "tail", "--on", "desk", "--count", "3") == 3
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "the stream ended after 2 records; expected 3" in err


def test_leaving_the_tail_closes_the_connection_and_ends_its_thread_at_once(agent: Agent) -> None:
    with agent(Script(device="desk", records=_records(3), records_then_hang=True)):
        events = telemetry._from_agent("desk", threading.Event())
        held = next(events)  # a reference that garbage collection cannot take
        assert "edgectl-records" in {thread.name for thread in threading.enumerate()}
        events.close()
        assert "edgectl-records" not in {thread.name for thread in threading.enumerate()}
    assert held == _records(1)[0]


def test_tail_closes_what_it_reads_from_when_it_has_enough(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Generator[object, None, None]] = []
    plain = telemetry._from_agent

    def kept(device_name: str, stop: threading.Event) -> Generator[object, None, None]:
        opened.append(plain(device_name, stop))
        return opened[0]

    monkeypatch.setattr(telemetry, "_from_agent", kept)
    with agent(Script(device="desk", records=_records(5))):
        assert edgectl("telemetry", "tail", "--on", "desk", "--count", "2") == 0
        assert inspect.getgeneratorstate(opened[0]) == inspect.GEN_CLOSED


def test_records_that_nobody_takes_hold_the_reader_back() -> None:
    inbox = telemetry._Inbox()
    reader = threading.Thread(target=lambda: [inbox.put(record) for record in _records(10_000)])
    reader.start()
    eventually(inbox._entries.full)
    assert reader.is_alive()
    assert inbox._entries.qsize() == telemetry._QUEUE_RECORDS
    inbox.left.set()
    reader.join()
    assert inbox._entries.qsize() == telemetry._QUEUE_RECORDS


def test_stream_that_ends_with_an_error_stays_one_line_for_each(
    agent: Agent, capsys: pytest.CaptureFixture[str]
) -> None:
    with agent(Script(device="desk", records=_records(2))):
        assert edgectl("telemetry", "tail", "--on", "desk", "--count", "3", "-o", "json") == 3
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [next(iter(document)) == "error" for document in documents] == [False, False, True]


def test_silent_agent_does_not_outlast_the_seconds(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    with agent(Script(device="desk", hangs=frozenset({"StreamTelemetry"}))) as started:
        assert edgectl("telemetry", "tail", "--on", "desk", "--count", "1", "--seconds", "0.3") == 3
        assert "StreamTelemetry" in started.calls
    assert "0 records in 0.3 s; expected 1" in capsys.readouterr().err


def test_inspect_shows_the_manifest_and_refuses_damage(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edgectl("inspect", str(bundle), "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["labels"] == list(LABELS)
    assert edgectl("inspect", str(bundle)) == 0
    assert "delegated operators  100.0%" in capsys.readouterr().out
    data = bytearray(bundle.read_bytes())
    data[data.find(PROGRAM)] ^= 1
    bundle.write_bytes(data)
    assert edgectl("inspect", str(bundle), "-o", "json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == "bundle_damaged"
    assert err.count("\n") == 1
