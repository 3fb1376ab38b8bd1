# SPDX-License-Identifier: Apache-2.0
"""What the agent makes of a runner's exit status and lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from edgectl_agent.measure.protocol import MeasurementProtocol
from edgectl_agent.runner.answers import read_answer
from edgectl_agent.runner.bench import parse_block, parse_cold_load
from edgectl_agent.runner.golden import _distance
from edgectl_agent.runner.options import RunnerOptions
from edgectl_agent.runner.outcome import describe_exit, runner_failure
from edgectl_agent.runner.profile import parse_profile
from edgectl_agent.runner.runtime import parse_runtime_facts
from edgectl_agent.runner.supervisor import FIRST_WAIT_SECONDS, HEALTHY_SECONDS, LONGEST_WAIT_SECONDS, next_wait
from edgectl_protos.errors import BundleError, EdgectlError, GateError, InputError, RunnerError, UsageError

_REPORT = (
    b'{"unit": "ms", "memory": {"program_bytes": 1, "planned_bytes": 2, "load_rss_bytes": 3, "load_anon_bytes": null,'
    b' "peak_rss_bytes": 4}, "load_ms": 0.5, "threads": 2}'
)
_PROFILE = {
    "runs": 20,
    "threads": 1,
    "execute": {"p50": 100.0},
    "calls": [
        {
            "index": 0,
            "kind": "delegate",
            "name": "XnnpackBackend",
            "p50": 60.0,
            "operators": [{"name": "x", "p50": 50}],
        },
        {"index": 1, "kind": "kernel", "name": "aten::sin.out", "p50": 10.0, "operators": []},
        {"index": 2, "kind": "kernel", "name": "executorch_prim::et_view.default", "p50": 5.0, "operators": []},
        {"index": 3, "kind": "kernel", "name": "aten::cumsum.out", "p50": 15.0, "operators": []},
        {"index": 4, "kind": "kernel", "name": "aten::sin.out", "p50": 10.0, "operators": []},
    ],
}


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


def test_a_refused_flag_is_the_callers_usage() -> None:
    error = runner_failure(2, "edge-runner: usage: processor 9; expected one of 0-1; choose one\n")
    assert isinstance(error, UsageError)
    assert error.message == "processor 9; expected one of 0-1; choose one"


def test_memory_that_ran_out_is_said_with_its_peak() -> None:
    line = "edge-runner: out_of_memory: out of memory at 212 MB; expected at most 200 MB, its limit; raise it\n"
    error = runner_failure(16, line)
    assert isinstance(error, RunnerError)
    assert error.seen == "out of memory at 212 MB"


def test_kernels_outside_the_delegate_have_their_share_of_the_time() -> None:
    assert parse_profile(_PROFILE).undelegated() == (("aten::sin.out", 0.2), ("aten::cumsum.out", 0.15))


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b"3", b'{"runs": 1}', b'{"runs": "x", "calls": []}', b"\xff"])
def test_another_line_is_refused(line: bytes) -> None:
    with pytest.raises(RunnerError):
        read_answer(line, "profile", parse_profile)


def test_a_cold_load_has_its_memory() -> None:
    load = read_answer(_REPORT, "bench", parse_cold_load)
    assert (load.load_ms, load.load_rss_bytes, load.load_anonymous_bytes, load.peak_rss_bytes) == (0.5, 3, 0, 4)


def test_a_block_has_its_samples() -> None:
    block = read_answer(b'{"block": 1, "samples": [0.5, 0.25], "rss_bytes": 7}\n', "bench", parse_block)
    assert (block.samples_ms, block.rss_bytes) == ((0.5, 0.25), 7)


@pytest.mark.parametrize("samples", ["[]", "[0.5, 0]", "[-1]", "[NaN]", "[1e999]", "3", '"0.5"'])
def test_a_block_without_durations_is_refused(samples: str) -> None:
    with pytest.raises(RunnerError, match="edge-runner bench printed"):
        read_answer(f'{{"samples": {samples}, "rss_bytes": 7}}'.encode(), "bench", parse_block)


@pytest.mark.parametrize("line", [b'{"samples": [1.0], "rss_bytes": 1e999}', b"[" * 100_000])
def test_numbers_and_nesting_beyond_what_can_be_read_are_refused(line: bytes) -> None:
    with pytest.raises(RunnerError, match="edge-runner bench printed"):
        read_answer(line, "bench", parse_block)


@pytest.mark.parametrize(
    ("line", "build"),
    [
        (b'{"block": 1, "samples": [0.5], "rss_bytes": null}', parse_block),
        (_REPORT.replace(b'"load_rss_bytes": 3', b'"load_rss_bytes": null'), parse_cold_load),
        (_REPORT.replace(b'"peak_rss_bytes": 4', b'"peak_rss_bytes": null'), parse_cold_load),
    ],
)
def test_memory_the_kernel_does_not_tell_is_not_zero(line: bytes, build: Callable[[Any], object]) -> None:
    with pytest.raises(RunnerError, match="edge-runner bench printed"):
        read_answer(line, "bench", build)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b'"x"', b'{"runtime": 1, "architecture": 2, "backends": 3}'])
def test_an_info_that_is_none_is_refused(answer: bytes) -> None:
    with pytest.raises(RunnerError, match="edge-runner info"):
        parse_runtime_facts(answer)


_FITTING = MeasurementProtocol(
    name="x",
    warmup_seconds=0.1,
    warmup_runs=1,
    blocks=1,
    block_runs=1,
    block_seconds=0.0,
    max_variation=0.03,
    max_drift=0.02,
    attempts=1,
    cooldown_seconds=0.0,
)


@pytest.mark.parametrize(
    "changes",
    [
        {"blocks": 0},
        {"block_runs": 0},
        {"block_seconds": float("nan")},
        {"warmup_seconds": -1.0},
        {"max_drift": 2.0},
        {"attempts": 0},
        {"cooldown_seconds": -1.0},
        {"time_limit_seconds": float("inf")},
    ],
)
def test_a_protocol_out_of_range_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(changes))):
        replace(_FITTING, **changes)


@pytest.mark.parametrize("changes", [{"threads": 1 << 20}, {"cpus": (5000,)}, {"nice": 40}, {"memory_limit_bytes": -1}])
def test_an_option_of_the_runner_out_of_range_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(changes))):
        RunnerOptions(**changes)


def test_options_are_flags_only_where_they_are_given() -> None:
    assert RunnerOptions().arguments() == []
    given = RunnerOptions(threads=2, cpus=(0, 1), nice=5, memory_limit_bytes=64)
    assert given.arguments() == ["--threads", "2", "--cpus", "0,1", "--nice", "5", "--memory-limit", "64"]


def test_a_protocol_longer_than_an_hour_is_refused() -> None:
    longest = replace(_FITTING, warmup_seconds=600.0, blocks=120, block_seconds=10.0)
    assert longest.least_seconds == 3600.0
    with pytest.raises(UsageError, match="least time of all attempts"):
        replace(longest, blocks=121)


def test_waits_double_up_to_a_bound_and_begin_again_after_a_healthy_life() -> None:
    waits = [FIRST_WAIT_SECONDS]
    while waits[-1] < LONGEST_WAIT_SECONDS:
        waits.append(next_wait(waits[-1], lived_seconds=0.1))
    assert waits[1] == 2 * waits[0]
    assert next_wait(waits[-1], lived_seconds=0.1) == LONGEST_WAIT_SECONDS
    assert next_wait(LONGEST_WAIT_SECONDS, lived_seconds=HEALTHY_SECONDS) == FIRST_WAIT_SECONDS
