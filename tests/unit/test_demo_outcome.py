# SPDX-License-Identifier: Apache-2.0
"""The demo says where a run falls short, and its page shows what its document holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from edgectl.compress.paired_bound import PairedDrop
from edgectl.demo.cross_validation import PooledStage
from edgectl.demo.outcome import GRPC, MQTT, DemoOutcome, DemoSearch, DemoStage, Deployed
from edgectl.demo.report import check_folder
from edgectl.demo.report_page import render_page
from edgectl.demo.witness import Channel, Witness
from edgectl.lab.device_values import DeviceInfo
from edgectl.lab.measurement import Attempt, MemoryFigures, summarize
from edgectl.lab.protocol import SHORT
from edgectl.search.front import build_front
from edgectl.search.objectives import STANDARD_OBJECTIVES
from edgectl.search.trial import Trial, TrialState
from edgectl_protos.errors import UsageError
from edgectl_protos.metrics import TelemetryRecord

DEVICE = DeviceInfo(
    name="local",
    agent_version="0.1.0",
    boot_id="boot",
    architecture="x86_64",
    runtime="executorch 1.5.1",
    delegates=("XnnpackBackend",),
    capabilities=(),
    kernel="Linux",
    cpu_model="<b>CPU</b>",
    cpu_features=("avx2", "lm"),
    cpu_count=2,
    memory_bytes=1,
    models=(),
    agent_pss_bytes=None,
)


def stage(name: str, *, program_bytes: int, p50: float, drop: PairedDrop | None) -> DemoStage:
    measurement = summarize(
        [Attempt(((p50,) * 100,) * 3, (), ())],
        0,
        memory=MemoryFigures(program_bytes, 0, 6_000_000, 7_000_000),
        loads_ms=(1.0,),
        device="local",
        bundle_digest="d" * 64,
        protocol="short",
        provenance={},
    )
    return DemoStage(PooledStage(name, 0.99, drop), 288_170, 2_379_008, program_bytes, 1.0, measurement)


def trial(number: int, *, failed: bool = False) -> Trial:
    return Trial(
        number=number,
        candidate=number,
        genome={"model.width": 8 * (number + 1)},
        state=TrialState.FAILED if failed else TrialState.COMPLETE,
        objectives={}
        if failed
        else {"accuracy": 0.9 + number / 100, "p50_ms": 0.01 + number / 100, "program_bytes": 9.0},
        reason="no luck" if failed else "",
    )


def outcome() -> DemoOutcome:
    record = TelemetryRecord("local", "boot", 1, 0, 0, ())
    return DemoOutcome(
        started="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        device=DEVICE,
        recipe={"model": "m:f"},
        versions={},
        folds=5,
        items=1797,
        stages=(
            stage("baseline", program_bytes=1_158_568, p50=0.036, drop=None),
            stage("quantize", program_bytes=122_152, p50=0.012, drop=PairedDrop(0.0, 0.0024, 1797, 6)),
        ),
        int8_same_architecture_bytes=304_680,
        deployed=Deployed("digits", "d" * 64, 0.0, 360, 360, 358),
        bundle=b"",
        protocol=SHORT,
        search=DemoSearch(build_front([trial(0), trial(1)], STANDARD_OBJECTIVES, name="s"), "evolution"),
        candidates=2,
        heard=Witness({GRPC: Channel([record]), MQTT: Channel([record])}),
        agent_pss_bytes=None,
    )


def lossy(run: DemoOutcome) -> DemoOutcome:
    last = run.stages[-1]
    worse = replace(last, pooled=replace(last.pooled, drop=PairedDrop(0.006, 0.011, 1797, 40)))
    return replace(run, stages=(run.stages[0], worse))


def outside_the_delegate(run: DemoOutcome) -> DemoOutcome:
    return replace(run, stages=(run.stages[0], replace(run.stages[1], delegated_fraction=0.9)))


def one_failed(run: DemoOutcome) -> DemoOutcome:
    front = build_front([trial(0), trial(1, failed=True)], STANDARD_OBJECTIVES, name="s")
    return replace(run, search=replace(run.search, front=front))


def test_a_run_that_shows_everything_falls_short_of_nothing() -> None:
    assert outcome().shortfalls() == ()
    assert outcome().document()["shortfalls"] == []


@pytest.mark.parametrize(
    ("bend", "said"),
    [
        (lossy, "more than a point"),
        (outside_the_delegate, "outside the delegate: quantize"),
        (one_failed, "1 candidates of the search failed"),
        (lambda run: replace(run, candidates=3), "fewer candidates"),
        (lambda run: replace(run, int8_same_architecture_bytes=400_000), "int8 is not 3.5x smaller"),
        (lambda run: replace(run, int8_same_architecture_bytes=100_000), "no smaller than int8 alone"),
        (lambda run: replace(run, heard=Witness({GRPC: run.heard.channels[GRPC], MQTT: Channel()})), "came over mqtt"),
    ],
)
def test_what_a_run_does_not_show_is_said(bend: Callable[[DemoOutcome], DemoOutcome], said: str) -> None:
    shortfalls = bend(outcome()).shortfalls()
    assert any(said in shortfall for shortfall in shortfalls)


def test_a_single_fold_is_not_judged_on_accuracy() -> None:
    assert replace(lossy(outcome()), folds=1).shortfalls() == ()


def test_the_page_escapes_what_the_device_says_and_tells_unknown_memory() -> None:
    page = render_page(outcome(), front="<section></section>")
    assert "&lt;b&gt;CPU&lt;/b&gt;" in page
    assert "<b>CPU</b>" not in page
    assert "avx2" in page
    assert "does not tell" in page


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_folder(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
    for refused in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="cannot be written"):
            check_folder(refused)
