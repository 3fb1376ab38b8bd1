# SPDX-License-Identifier: Apache-2.0
"""`edgectl profile` of a real program on a real agent: table, JSON, page, ETDump, and one run against another."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from edgectl.cli.main import run

from tests.agents import running_agent
from tests.program_bundles import Bundle, make_bundle, program_directory
from tests.programs import layered_program, small_cnn_program


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECTL_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A delegate, a kernel between, a delegate."""
    return make_bundle(tmp_path, layered_program(program_directory()), name="layered")


def edgectl(*words: object) -> int:
    return run([str(word) for word in words], environ=os.environ)


def test_the_etdump_of_the_same_runs_is_read_by_the_inspector(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    from executorch.devtools import Inspector

    words = ("--runs", "5", "--threads", "1", "--etdump", "runs.etdp", "-o", "json")
    assert edgectl("profile", bundle.path, "--on", "local", *words) == 0
    document = json.loads(capsys.readouterr().out)
    (block,) = Inspector(etdump_path="runs.etdp").event_blocks
    told = [
        (entry["name"].removeprefix("aten::"), entry["p50_us"])
        for call in document["calls"]
        for entry in (call["operators"] or [call])
    ]
    seen = {
        event.name.removeprefix("native_call_"): sorted(event.perf_data.raw)
        for event in block.events
        if event.is_delegated_op or event.name.startswith("native_call_")
    }
    assert "cumsum.out" in seen
    assert {name for name, _ in told} == set(seen)
    assert all(len(times) == 5 for times in seen.values())
    (cumsum,) = (p50_us for name, p50_us in told if name == "cumsum.out")
    assert seen["cumsum.out"][2] * 1e3 == pytest.approx(cumsum, abs=0.5)


def test_table_json_and_page_are_of_the_program_and_the_active_one_stays(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_bundle(Path(), small_cnn_program(program_directory()), name="layered", version="0")
    assert edgectl("deploy", other.path, "--on", "local") == 0
    capsys.readouterr()
    assert edgectl("profile", bundle.path, "--on", "local", "--runs", "5", "--html", "page.html", "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["bundle_digest"] == bundle.digest
    assert [(call["kind"], call["name"]) for call in document["calls"]] == [
        ("delegate", "XnnpackBackend"),
        ("kernel", "aten::cumsum.out"),
        ("delegate", "XnnpackBackend"),
    ]
    rows = {row["operator"]: row for row in document["operators"]}
    assert rows["Fully Connected (NC, F32) GEMM"]["calls"] == 3
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1.0)
    assert document["provenance"]["device"]["cpu_model"]
    page = Path("page.html").read_text("utf-8")
    assert "Fully Connected (NC, F32) GEMM #2" in page
    assert "aten::cumsum.out (outside a delegate)" in page

    assert edgectl("profile", "layered", "--on", "local", "--runs", "5") == 0
    out = capsys.readouterr().out
    assert "Convolution (NHWC, F32) IGEMM" in out
    assert "every operator runs inside a delegate" in out


def test_a_saved_profile_is_compared_with_and_what_differs_is_listed(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edgectl("profile", bundle.path, "--on", "local", "--runs", "5", "--threads", "1", "-o", "json") == 0
    Path("one.json").write_text(capsys.readouterr().out)
    words = ("--runs", "5", "--threads", "2", "--against", "one.json", "-o", "json")
    assert edgectl("profile", bundle.path, "--on", "local", *words) == 0
    out, err = capsys.readouterr()
    difference = json.loads(out)["difference"]
    assert "warning" not in err
    assert difference["same_bundle"] is True
    assert {(row["operator"], row["place"]) for row in difference["operators"]} >= {
        ("Fully Connected (NC, F32) GEMM", "XnnpackBackend"),
        ("aten::cumsum.out", "kernel"),
    }
    assert difference["circumstances"] == [{"what": "threads", "here": "2", "against": "1"}]


def test_a_device_is_compared_with_another(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running_agent(tmp_path / "shelf", device="shelf") as shelf:
        assert edgectl("device", "add", "shelf", shelf.address) == 0
        capsys.readouterr()
        assert edgectl("profile", bundle.path, "--on", "local", "--runs", "5", "--against", "shelf") == 0
    out, err = capsys.readouterr()
    assert "warning" not in err
    assert "profile layered on shelf: done" in err
    assert "device        local  shelf" in out


def test_a_program_that_does_not_load_leaves_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    damaged = make_bundle(Path(), layered_program(program_directory()), members={"model.pte": b"no program" * 100})
    words = ("--html", "page.html", "--etdump", "runs.etdp", "-o", "json")
    assert edgectl("profile", damaged.path, "--on", "local", *words) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "bundle_damaged"
    assert [path.name for path in Path().iterdir()] == [damaged.path.name]
