# SPDX-License-Identifier: Apache-2.0
"""Several measurements of one program."""

from __future__ import annotations

import json

import pytest
from edgectl.cli.bench_tables import repeats_line, repeats_table
from edgectl.lab.measurement import Attempt, Measurement, MemoryFigures, summarize
from edgectl.lab.repeats import Repeats
from edgectl_protos.errors import RunnerError


def _measured(p50: float, *reasons: str) -> Measurement:
    return summarize(
        [Attempt(((p50,), (p50,)), ((2.0,), (2.0,), (2.0,)), reasons)],
        0,
        memory=MemoryFigures(1, 2, 3, 4),
        loads_ms=(1.0,),
        device="desk",
        bundle_digest="a" * 64,
        protocol="short",
        provenance={},
        reference_digest="r",
    )


_CRASH = RunnerError("crashed: SIGSEGV", expected="exit 0")


def test_a_crash_among_them_is_kept_as_a_result_and_the_others_have_their_spread() -> None:
    repeats = Repeats((_measured(1.0), _CRASH, _measured(1.1), _measured(9.0, "varies")))
    document = json.loads(json.dumps(repeats.document()))
    assert (document["repeats"], document["accepted"], document["failed"]) == (4, 2, 1)
    assert document["p50_spread"] == pytest.approx(0.1)
    assert document["ratio_spread"] == pytest.approx(0.1)
    assert document["runs"][1] == {
        "error": {"code": "runner_failed", "seen": "crashed: SIGSEGV", "expected": "exit 0", "action": ""}
    }
    assert document["runs"][3]["quality"] == "degraded"
    assert repeats_line(repeats).startswith("2 of 4 accepted, 1 failed; their p50 within 10.0%")
    assert repeats_table(repeats, title="").rows[1][-1] == "failed: crashed: SIGSEGV"


def test_without_an_accepted_one_there_is_no_spread() -> None:
    repeats = Repeats((_measured(1.0, "varies"), _CRASH))
    assert repeats.p50_spread is None
    assert repeats_line(repeats) == "0 of 2 accepted, 1 failed"
