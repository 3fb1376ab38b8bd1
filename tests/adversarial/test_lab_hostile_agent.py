# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import grpc
import pytest
from edgectl.lab.client import AgentClient
from edgectl.lab.protocol import COUNTED, SHORT
from edgectl.lab.testing.scripted_agent import Failure, Script, ScriptedAgent
from edgectl_protos.errors import EdgectlError, InternalError, ProtocolError, RunnerError
from edgectl_protos.metrics import Metric, TelemetryRecord, Unavailable

DIGEST = "a" * 64


def infer(script: Script) -> None:
    with ScriptedAgent(script) as agent, AgentClient(agent.address) as client:
        client.infer("net", [])


def benchmark(script: Script) -> None:
    with ScriptedAgent(script) as agent, AgentClient(agent.address) as client:
        client.benchmark("net", DIGEST, SHORT)


def count(script: Script) -> None:
    with ScriptedAgent(script) as agent, AgentClient(agent.address) as client:
        client.benchmark("net", DIGEST, COUNTED)


def profile(script: Script) -> None:
    with ScriptedAgent(script) as agent, AgentClient(agent.address) as client:
        client.profile("net", DIGEST)


@pytest.mark.parametrize(
    "output",
    [
        ("float32", (2, 3), b"\0" * 23),
        ("float32", (2, 3), b"\0" * 25),
        ("float32", (1 << 40,), b""),
        ("float32", (1,) * 17, b"\0" * 4),
        ("object", (1,), b"\0" * 8),
        ("", (), b""),
    ],
)
def test_an_output_whose_bytes_do_not_fit_its_shape_is_refused(output: tuple[str, tuple[int, ...], bytes]) -> None:
    with pytest.raises(ProtocolError, match="output cannot be read"):
        infer(Script(outputs=(output,)))


def test_a_message_beyond_the_limit_is_refused_in_one_line() -> None:
    with pytest.raises(EdgectlError) as caught:
        infer(Script(outputs=(("uint8", (65 << 20,), bytes(65 << 20)),)))
    assert "larger than max" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("sample", [math.nan, -math.inf, 0.0, -1.0])
def test_samples_that_are_no_durations_are_no_measurement(sample: float) -> None:
    with pytest.raises(RunnerError, match="a sample of"):
        benchmark(Script(blocks=((1.0, sample), (1.0,))))


@pytest.mark.parametrize("unit", ["", "insn", "s\x1b[31m"])
def test_another_unit_is_never_taken_for_milliseconds(unit: str) -> None:
    with pytest.raises(ProtocolError, match="expected 'ms'") as caught:
        benchmark(Script(unit=unit))
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize("unit", ["", "ms", "s\x1b[31m"])
def test_another_unit_is_never_taken_for_instructions(unit: str) -> None:
    with pytest.raises(ProtocolError, match="expected 'insn'") as caught:
        count(Script(unit=unit, counts=((300, 500), (300, 500))))
    assert "\x1b" not in caught.value.message


_LARGEST = (1 << 64) - 1


@pytest.mark.parametrize(
    "counts",
    [(), ((300, 500),), ((300, 500),) * 3, ((300, 300), (300, 500)), ((500, 300),) * 2, ((0, 0),) * 2, ((0, 1),) * 2,
     ((_LARGEST, 1),) * 2],
)  # fmt: skip
def test_counts_that_no_program_has_are_no_measurement(counts: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(RunnerError):
        count(Script(unit="insn", counts=counts))


def test_more_counts_than_can_be_asked_for_are_refused() -> None:
    with pytest.raises(RunnerError, match="at most 100"):
        count(Script(unit="insn", counts=((300, 500),) * 101))


@pytest.mark.parametrize("name", ["program_bytes", "load_rss_bytes", "peak_rss_bytes"])
def test_a_memory_figure_that_was_not_sent_is_no_zero(name: str) -> None:
    sent = dict.fromkeys(("program_bytes", "planned_bytes", "load_rss_bytes", "peak_rss_bytes"), 1)
    del sent[name]
    with pytest.raises(RunnerError, match=f"has {name} 0; expected a positive number"):
        benchmark(Script(memory=sent))


@pytest.mark.parametrize("load_ms", [0.0, -1.0, math.nan, math.inf])
def test_a_load_time_that_is_not_known_is_no_zero(load_ms: float) -> None:
    with pytest.raises(RunnerError, match="has load_ms"):
        benchmark(Script(load_ms=load_ms))


@pytest.mark.parametrize("p50_us", [math.nan, -1.0, math.inf])
def test_a_profiled_call_without_a_time_is_refused(p50_us: float) -> None:
    with pytest.raises(RunnerError, match="a profiled call of kind"):
        profile(Script(calls=(("kernel", "aten::sin.out", p50_us, ()),)))


def test_a_profiled_call_of_an_unknown_kind_is_refused_without_its_control_characters() -> None:
    with pytest.raises(RunnerError, match="a profiled call of kind") as caught:
        profile(Script(calls=(("\x1b[2J", "x", 1.0, ()),)))
    assert caught.value.message.isprintable()


def test_a_reference_with_too_few_blocks_is_no_measurement() -> None:
    with pytest.raises(RunnerError, match="blocks of the reference model"):
        benchmark(Script(reference=((1.0,),)))


@pytest.mark.parametrize(
    ("block", "said"), [((), "has no samples"), ((0.0,), "a sample of"), ((math.nan,), "a sample of")]
)
def test_a_block_of_the_reference_that_is_none_is_no_measurement(block: tuple[float, ...], said: str) -> None:
    with pytest.raises(RunnerError, match=said):
        benchmark(Script(blocks=((1.0,),), reference=(block, (1.0,))))


def test_more_blocks_than_any_protocol_has_are_refused() -> None:
    with pytest.raises(RunnerError, match="a result with 1002 blocks; expected at most 1001"):
        benchmark(Script(blocks=((1.0,),) * 1_002))


def test_more_calls_than_a_program_has_are_refused() -> None:
    with pytest.raises(RunnerError, match="a result with 100001 profiled calls"):
        profile(Script(calls=(("kernel", "x", 1.0, ()),) * 100_001))


def test_text_from_a_device_cannot_steer_the_terminal_or_flood_it() -> None:
    text = "\x1b]0;owned\x07\r\n\u202e" + "x" * 100_000
    failure = Failure(
        grpc.StatusCode.ABORTED, code="runner_failed", seen=text[:3000], expected=text[:50], action="\x9b2J"
    )
    with ScriptedAgent(Script(failures={"Infer": failure})) as agent, AgentClient(agent.address) as client:
        with pytest.raises(RunnerError) as caught:
            client.infer("net", [])
        message = caught.value.message
    assert message.isprintable()
    assert len(message) < 5_000


@pytest.mark.parametrize("detail", [b"", b"\xff\xff\xff", b"\x0a\x05ab"])
def test_an_error_detail_that_is_rubbish_still_gives_one_clear_error(detail: bytes) -> None:
    failure = Failure(grpc.StatusCode.INTERNAL, detail=detail)
    with pytest.raises(InternalError) as caught:
        infer(Script(failures={"Infer": failure}))
    assert caught.value.message


def test_an_unknown_error_code_is_an_error_that_names_it() -> None:
    failure = Failure(grpc.StatusCode.ABORTED, code="battery_low", seen="3 %")
    with pytest.raises(InternalError, match=r"3 % .*battery_low"):
        infer(Script(failures={"Infer": failure}))


@pytest.mark.parametrize("reading", [math.nan, math.inf])
def test_a_telemetry_reading_that_is_no_number_becomes_unavailable(reading: float) -> None:
    record = TelemetryRecord("pi4", "b", 1, 0, 0, (Metric("board.temperature", "celsius", reading),))
    with ScriptedAgent(Script(records=(record,))) as agent, AgentClient(agent.address) as client:
        assert isinstance(next(client.telemetry()).reading("board.temperature"), Unavailable)
