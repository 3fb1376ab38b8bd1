# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run

import pytest
from edgectl.search.configuration import build_sampler, parse_configuration
from edgectl.search.objectives import Objective
from edgectl.search.samplers import EvolutionSampler, RandomSampler
from edgectl.search.space import Choice, Floats, Integers
from edgectl.workflows.search_file import load_search, parse_search
from edgectl_protos.errors import UsageError

STUDY = """\
version: 1
name: digits-search
model: edgectl.demo.digits:build_model
model_arguments: {depth: 2}
data: edgectl.demo.digits:load_data
target: generic
seed: 3
candidates: 12
validation: 0.25
protocol: short
stages:
  - finetune: {epochs: 2, learning_rate: 0.004}
  - prune: {macs: 0.5}
  - distill: {epochs: 1}
  - quantize: {scheme: int8, calibration_items: 64}
space:
  model.width: {integers: [8, 32], step: 8}
  model.depth: {choice: [1, 2]}
  prune.macs: {floats: [0.0, 0.6], step: 0.2}
  distill.epochs: {integers: [0, 2]}
  quantize.scheme: {choice: [none, int8]}
objectives: {accuracy: maximize, p50_ms: minimize}
sampler: {kind: evolution, population: 6, warmup: 4, crossover: 0.5}
"""


def test_a_study_file_becomes_what_it_says() -> None:
    study = parse_search(STUDY, source="study.yaml")
    assert study.space.dimensions == (
        Integers("model.width", 8, 32, 8),
        Choice("model.depth", (1, 2)),
        Floats("prune.macs", 0.0, 0.6, 0.2),
        Integers("distill.epochs", 0, 2),
        Choice("quantize.scheme", ("none", "int8")),
    )
    assert study.objectives == (Objective("accuracy", "maximize"), Objective("p50_ms", "minimize"))
    assert (study.seed, study.candidates, study.validation) == (3, 12, 0.25)
    assert [stage.kind for stage in study.stages] == ["finetune", "prune", "distill", "quantize"]
    sampler = build_sampler(study.sampler, space=study.space, objectives=study.objectives)
    assert isinstance(sampler, EvolutionSampler)


def test_what_is_not_written_has_a_default() -> None:
    study = parse_configuration(
        {
            "version": 1,
            "name": "s",
            "model": "m:f",
            "data": "d:f",
            "stages": ["finetune"],
            "space": {"model.width": {"integers": [1, 4]}},
        },
        source="here",
    )
    assert [objective.name for objective in study.objectives] == ["accuracy", "p50_ms", "program_bytes"]
    assert (study.sampler.kind, study.candidates, study.protocol, study.target) == ("evolution", 32, "short", "generic")


def test_a_sampler_may_be_named_alone() -> None:
    text = STUDY.replace("{kind: evolution, population: 6, warmup: 4, crossover: 0.5}", "random")
    study = parse_search(text, source="s")
    assert isinstance(build_sampler(study.sampler, space=study.space, objectives=study.objectives), RandomSampler)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("candidates: 12", "candidate: 12", r"study\.yaml line 8: unknown key 'candidate'.*candidates"),
        ("candidates: 12", "candidates: 0", r"study\.yaml line 8: candidates is 0"),
        ("candidates: 12", "candidates: many", "candidates is 'many'"),
        ("version: 1", "version: 2", "version is 2"),
        ("name: digits-search", "name: ../up", "name is"),
        ("name: digits-search", f"name: {'n' * 51}", "name is 'n{51}'; expected .* at most 50"),
        ("validation: 0.25", "validation: 1.5", "validation is 1.5"),
        ("seed: 3", "seed: true", "seed is True"),
        ("protocol: short", "protocol: shrot", "shrot.*short"),
        ("protocol: short", "protocol: short\nallow_undelegated: 1", "allow_undelegated is 1; expected true or false"),
        ("target: generic", "target: genric", "generic"),
        ("model: edgectl.demo.digits:build_model", "model: digits", "model"),
        ("p50_ms: minimize", "p50_us: minimize", "unknown key 'p50_us' in objectives.*p50_ms"),
        ("p50_ms: minimize", "p50_ms: smaller", r"objectives\.p50_ms is 'smaller'"),
        ("population: 6", "popluation: 6", "unknown key 'popluation' in sampler.*population"),
        ("population: 6", "population: 1", "population 1"),
        ("kind: evolution", "kind: annealing", "annealing"),
        ("kind: evolution", "kind: random", "no parameters for random"),
        ("step: 8", "stepp: 8", r"line 17: unknown key 'stepp' in space\.model\.width.*step"),
        ("integers: [8, 32], step: 8", "integers: [8, 32], step: 7", "whole number of steps"),
        ("integers: [8, 32], step: 8", "integers: [32, 8]", "from 32 to 8"),
        ("integers: [8, 32], step: 8", "integers: [8]", r"\[low, high\]"),
        ("integers: [8, 32], step: 8", "integers: [8, 32], floats: [0, 1]", "choice"),
        ("choice: [1, 2]", "choice: []", "no values"),
        ("prune.macs: {f", "purne.macs: {f", "belongs to no stage.*prune"),
        ("prune.macs: {f", "prune.mcas: {f", "mcas.*macs"),
        ("[0.0, 0.6], step: 0.2", "[0.0, 1.2], step: 0.2", "no legal recipe: .*prune.macs is 1.2"),
        ("choice: [none, int8]", "choice: [none, static_int4]", "static_int4"),
        ("  - prune: {macs: 0.5}", "  - purne: {macs: 0.5}", "purne"),
        ("  - prune: {macs: 0.5}", "  - prune: {macs: 0.5}\n  - prune: {macs: 0.1}", "prune once"),
        ("learning_rate: 0.004", "learning_rat: 0.004", "learning_rat"),
        ("  - distill: {epochs: 1}", "  - distill: {epochs: 1}\n  - quantize", "quantize once"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_was_meant(old: str, new: str, said: str) -> None:
    assert old in STUDY
    with pytest.raises(UsageError, match=said) as caught:
        parse_search(STUDY.replace(old, new, 1), source="study.yaml")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("missing", ["version", "name", "model", "data", "stages", "space"])
def test_a_missing_key_is_named(missing: str) -> None:
    document = {"version": 1, "name": "s", "model": "m:f", "data": "d:f", "stages": ["finetune"], "space": {}}
    del document[missing]
    with pytest.raises(UsageError, match=f"'{missing}' is missing"):
        parse_configuration(document, source="s")


@pytest.mark.parametrize("value", [None, [], "text", 7, {1: 2}])
def test_a_document_that_is_no_mapping_is_refused(value: object) -> None:
    with pytest.raises(UsageError):
        parse_configuration(value, source="s")


def test_a_study_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml"):
        load_search(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary\.yaml is not UTF-8"):
        load_search(tmp_path / "binary.yaml")


def test_reading_a_study_file_imports_neither_torch_nor_optuna_nor_matplotlib(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    program = (
        "import sys, pathlib\n"
        "import edgectl.search.loop, edgectl.search.study, edgectl.search.front_page, edgectl.search.front_picture\n"
        "from edgectl.workflows import candidate_build, search_file\n"
        f"search_file.load_search(pathlib.Path({str(path)!r}))\n"
        "print(sorted({'torch', 'optuna', 'matplotlib', 'sqlalchemy', 'executorch'} & set(sys.modules)))\n"
    )
    done = run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
