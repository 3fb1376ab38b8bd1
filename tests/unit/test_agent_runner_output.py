# SPDX-License-Identifier: Apache-2.0
"""What the agent makes of a runner's exit status and lines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edgectl_agent.runner.bench import BenchBlock, BenchProtocol, BenchReport, parse_bench_line
from edgectl_agent.runner.golden import _distance
from edgectl_agent.runner.outcome import describe_exit, runner_failure
from edgectl_agent.runner.runtime import parse_runtime_facts
from edgectl_agent.runner.supervisor import FIRST_WAIT_SECONDS, HEALTHY_SECONDS, LONGEST_WAIT_SECONDS, next_wait
from edgectl_protos.errors import BundleError, EdgectlError, GateError, InputError, RunnerError, UsageError

_REPORT = (
    b'{"unit": "ms", "blocks": [2], "memory": {"program_bytes": 1, "planned_bytes": 2, "load_rss_bytes": 3,'
    b' "peak_rss_bytes": 4}, "load_ms": 0.5, "warmup_runs": 1, "threads": 2}'
)


def test_a_signal_is_named() -> None:
    assert describe_exit(-11, "") == "crashed: SIGSEGV"
    assert describe_exit(-9, "noise") == "crashed: SIGKILL"
    assert describe_exit(-200, "") == "crashed: signal 200"


def test_an_exit_code_is_named_and_its_line_kept() -> None:
    said = describe_exit(10, "log\nedge-runner: bad_program: no such file; expected one; check\n\n")
    assert said == "exit 10 (bad_program): no such file; expected one; check"
    assert describe_exit(77, "") == "exit 77 (unknown): no message"


def test_how_far_off_an_output_is_takes_one_phrase() -> None:
    assert _distance(b'{"mismatched": 2, "max_abs_error": 0.12345}', "x") == "off by up to 0.123 in 2 elements"
    unbounded = b'{"mismatched": 1, "max_abs_error": null}'
    assert _distance(unbounded, "x") == "off without bound (NaN or infinite) in 1 element"
    with pytest.raises(GateError, match="its JSON report"):
        _distance(b"[]", "x")


@pytest.mark.parametrize(("code", "kind"), [(10, BundleError), (11, InputError), (13, RunnerError), (-6, RunnerError)])
def test_each_exit_has_its_error(code: int, kind: type[EdgectlError]) -> None:
    assert type(runner_failure(code, "")) is kind


def test_bench_lines_are_blocks_and_a_report() -> None:
    line = b'{"block": 1, "samples": [0.5, 0.25], "rss_bytes": 7}\n'
    assert parse_bench_line(line) == BenchBlock(1, (0.5, 0.25), 7)
    report = parse_bench_line(_REPORT)
    assert isinstance(report, BenchReport)
    assert (report.block_sizes, report.peak_rss_bytes, report.threads) == ((2,), 4, 2)
    assert parse_bench_line(b'{"error": {"code": "io", "message": "x"}}') is None


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[1]", b"3", b'{"block": 0}', b'{"block": 0, "samples": ["x"]}', b"\xff"]
)
def test_another_line_is_refused(line: bytes) -> None:
    with pytest.raises(RunnerError):
        parse_bench_line(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"block": 1, "samples": [0.5], "rss_bytes": null}',
        _REPORT.replace(b'"load_rss_bytes": 3', b'"load_rss_bytes": null'),
        _REPORT.replace(b'"peak_rss_bytes": 4', b'"peak_rss_bytes": null'),
    ],
)
def test_memory_the_kernel_does_not_tell_is_not_zero(line: bytes) -> None:
    with pytest.raises(RunnerError, match="edge-runner bench printed"):
        parse_bench_line(line)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b'"x"', b'{"runtime": 1, "architecture": 2, "backends": 3}'])
def test_an_info_that_is_none_is_refused(answer: bytes) -> None:
    with pytest.raises(RunnerError, match="edge-runner info"):
        parse_runtime_facts(answer)


@pytest.mark.parametrize(
    "changes",
    [{"blocks": 0}, {"block_runs": 0}, {"block_seconds": float("nan")}, {"warmup_seconds": -1.0}, {"threads": 1 << 20}],
)
def test_a_protocol_out_of_range_is_refused(changes: dict[str, float]) -> None:
    fitting = {
        "warmup_seconds": 0.1,
        "warmup_runs": 1,
        "blocks": 1,
        "block_runs": 1,
        "block_seconds": 0.0,
        "threads": 0,
    }
    with pytest.raises(UsageError, match=next(iter(changes))):
        BenchProtocol(name="x", **(fitting | changes))  # type: ignore[arg-type]


def test_a_protocol_longer_than_an_hour_is_refused() -> None:
    longest = BenchProtocol(
        name="x", warmup_seconds=600.0, warmup_runs=1, blocks=300, block_runs=1, block_seconds=10.0, threads=0
    )
    assert longest.least_seconds == 3600.0
    with pytest.raises(UsageError, match=r"warmup_seconds \+ blocks \* block_seconds 3610"):
        replace(longest, blocks=301)


def test_waits_double_up_to_a_bound_and_begin_again_after_a_healthy_life() -> None:
    waits = [FIRST_WAIT_SECONDS]
    while waits[-1] < LONGEST_WAIT_SECONDS:
        waits.append(next_wait(waits[-1], lived_seconds=0.1))
    assert waits[1] == 2 * waits[0]
    assert next_wait(waits[-1], lived_seconds=0.1) == LONGEST_WAIT_SECONDS
    assert next_wait(LONGEST_WAIT_SECONDS, lived_seconds=HEALTHY_SECONDS) == FIRST_WAIT_SECONDS
