# SPDX-License-Identifier: Apache-2.0
"""`edgectl device report` against real agents: what it measures, that it goes on, and that it names nobody."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import json
import os
import re
import socket
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from edgectl.cli.main import run
from edgectl.config import Paths
from edgectl.fleet.authority import Authority, utc_now
from edgectl.fleet.inventory import Device, inventory_of
from edgectl.lab.client import AgentClient
from edgectl.lab.devices import open_device
from edgectl.lower import reference_programs
from edgectl.lower.reference_programs import BUNDLE_NAME, REFERENCE_PROGRAMS, ReferenceBundle
from edgectl.workflows.device_report import Document, Kept, ReportOptions, Step, Subject, header_of, measure_report
from edgectl_protos.errors import UnreachableError

from tests.agents import RunningAgent, running_agent
from tests.program_bundles import make_bundle, program_directory
from tests.programs import small_cnn_program

_DEVICE, _MODEL = "kitchen-secret", "private-model"
_OPTIONS = ReportOptions("short", periodic_seconds=0.2)
_EVERY = ("--telemetry-interval", "0.05")


def _bundle(folder: Path) -> ReferenceBundle:
    program = REFERENCE_PROGRAMS[0]
    made = make_bundle(folder, small_cnn_program(program_directory()), name=BUNDLE_NAME, version=program.name)
    return ReferenceBundle(program, made.path, made.info)


@dataclasses.dataclass
class Watching:
    """Hears of the steps; `on_start` is called with each key."""

    on_start: Callable[[str], None] = lambda _key: None
    done: frozenset[str] = frozenset()
    measured: list[str] = dataclasses.field(default_factory=list)

    def begins(self, steps: Sequence[Step], done: frozenset[str]) -> None:
        self.done = done
        assert done <= {step.key for step in steps}

    def starts(self, step: Step) -> None:
        self.on_start(step.key)

    def ends(self, step: Step, result: Document) -> None:
        assert "error" not in result, result
        self.measured.append(step.key)


def _report(agent: RunningAgent, bundle: ReferenceBundle, file: Path, observer: Watching) -> Document:
    with AgentClient(agent.address) as client:
        kept = Kept(file, header_of(client.info, [bundle], _OPTIONS))
        subject = Subject(client, contextlib.nullcontext)
        return measure_report(subject, [bundle], _OPTIONS, kept, taken="2026-11-25", observer=observer)


def test_a_report_that_was_broken_off_goes_on_where_it_was(tmp_path: Path) -> None:
    bundle, file = _bundle(tmp_path / "bundles"), tmp_path / "kept.json"
    with running_agent(tmp_path / "state", *_EVERY) as agent:
        broken = Watching(on_start=lambda key: agent.kill() if key == "cnn-fp32/measure" else None)
        with pytest.raises(UnreachableError):
            _report(agent, bundle, file, broken)
    assert broken.measured == ["start", "idle", "cnn-fp32/deploy"]
    with running_agent(tmp_path / "state", *_EVERY) as agent:
        whole = Watching()
        document = _report(agent, bundle, file, whole)
    assert whole.done == set(broken.measured)
    assert not whole.done & set(whole.measured)
    (program,) = document["programs"]
    assert program["measure"]["unit"] == "ms"
    assert len(program["measure"]["samples"]) >= 300
    assert program["periodic"]["releases"] == 6
    assert program["profile"]["operators"]
    assert program["deploy"]["serving"]["runner.rss"]["value"] > 1 << 20
    assert len(document["swaps"]["seconds"]) == 10
    assert document["idle"]["metrics"]["agent.pss"]["value"] > 1 << 20
    assert document["start"]["cold_start_seconds"] == {"unavailable": "the agent ran already"}


def test_nothing_is_taken_over_from_a_report_with_other_programs(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    Kept(file, {"programs": 1}).keep("start", {"cold_start_seconds": 1.0})
    assert Kept(file, {"programs": 1}).results == {"start": {"cold_start_seconds": 1.0}}
    assert Kept(file, {"programs": 2}).results == {}
    file.write_text("{")
    assert Kept(file, {"programs": 1}).results == {}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """This host's own, with one program to measure, so that it is quick."""
    monkeypatch.setenv("EDGECTL_HOME", str(tmp_path))
    monkeypatch.setattr(reference_programs, "REFERENCE_PROGRAMS", REFERENCE_PROGRAMS[:1])
    paths = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "cache")
    folder = paths.cache / "reference-programs" / reference_programs._made_from()
    made = _bundle(folder)
    made.path.rename(folder / f"{BUNDLE_NAME}-{made.program.name}.edge")
    return paths


@contextlib.contextmanager
def _device(paths: Paths, state: Path) -> Iterator[None]:
    """A device with a telling name, and a model of its user's on it."""
    identity = Authority.open_or_create(paths.config / "authority", utc_now).issue_device(
        _DEVICE, paths.config / "identities"
    )
    with running_agent(state, "--identity", str(identity), *_EVERY, device=_DEVICE) as agent:
        inventory_of(paths).add(Device(_DEVICE, agent.address, identity=identity))
        own = make_bundle(state.parent / "own", small_cnn_program(program_directory()), name=_MODEL)
        with open_device(_DEVICE, paths=paths) as client:
            client.put_bundle(own.path)
            client.activate(own.name, own.digest)
        yield


def test_the_command_writes_one_file_that_names_nobody(
    home: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.zip"
    with _device(home, tmp_path / "agent"):
        words = ["device", "report", _DEVICE, "--protocol", "short", "--out", str(file)]
        assert run(words, environ=os.environ) == 0
        with open_device(_DEVICE, paths=home) as client:
            info = client.info
    captured = capsys.readouterr()
    assert f"written to {file}" in captured.out
    assert "about" in captured.err
    assert not (home.state / "reports" / f"{_DEVICE}.json").exists()
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["report.json", "report.html"]
        texts = [archive.read(name).decode() for name in archive.namelist()]
    private = [_DEVICE, _MODEL, socket.gethostname(), getpass.getuser(), info.boot_id.partition(".")[0], "127.0.0.1"]
    texts[1] = re.sub(r"<style>.*</style>", "", texts[1], flags=re.DOTALL)  # ":root" is no user
    for text in texts:
        assert [word for word in private if re.search(rf"\b{re.escape(word)}\b", text)] == []
        assert str(tmp_path) not in text
        assert re.findall(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", text) == []
    written = json.loads(texts[0])
    assert written["device"]["cpu_model"] == info.cpu_model
    assert run(["device", "report", "--read", str(file), "-o", "json"], environ=os.environ) == 0
    assert json.loads(capsys.readouterr().out) == written


@pytest.mark.parametrize("words", [[], ["pi4", "--read", "x.zip"]])
def test_a_report_is_either_made_or_read(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["device", "report", *words], environ=os.environ) == 2
    assert "either NAME or --read FILE" in capsys.readouterr().err
