# SPDX-License-Identifier: Apache-2.0
"""Which orders of stages run, and what an illegal one is told before anything is run."""

from __future__ import annotations

import itertools

import pytest
from edgectl.compress import Distill, Finetune, Pipeline, Prune, Quantize, Sparsify
from edgectl.compress.legality import RULES, Fact, check_legality
from edgectl.compress.stages import STAGE_KINDS, StageParameters, name_stages
from edgectl_protos.errors import UsageError

ONE_OF_EACH: dict[str, StageParameters] = {
    "finetune": Finetune(epochs=1),
    "prune": Prune(macs=0.5),
    "sparsify": Sparsify(sparsity=0.5),
    "distill": Distill(epochs=1),
    "quantize": Quantize("int8"),
}


def refused(*stages: StageParameters, available: tuple[Fact, ...] = tuple(Fact)) -> str:
    with pytest.raises(UsageError) as caught:
        check_legality(name_stages(list(stages)), available=available)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_kind_has_its_rules() -> None:
    assert set(RULES) == set(STAGE_KINDS) == set(ONE_OF_EACH)


def test_orders_that_are_refused_are_those_whose_reason_is_known() -> None:
    for length in (1, 2, 3, 4, 5):
        for order in itertools.permutations(ONE_OF_EACH, length):
            legal = order[0] != "distill"
            stages = name_stages([ONE_OF_EACH[kind] for kind in order])
            if legal:
                check_legality(stages)
            else:
                with pytest.raises(UsageError, match="teacher would be the student"):
                    check_legality(stages)


@pytest.mark.parametrize(
    ("stages", "available", "part"),
    [
        ((Quantize(), Quantize("fp16")), tuple(Fact), "quantize is given more than once"),
        ((Finetune(),), (), "finetune: there is no training data"),
        ((Prune(macs=0.5, importance="taylor"),), (), "prune: there is no training data"),
        ((Prune(macs=0.5, importance="activation"),), (), "there is no calibration data"),
        ((Quantize(max_degradation=1.0),), (), "no evaluation to hold max_degradation by"),
        ((Prune(p95_ms=3),), (), "no device is given to measure on"),
        ((Sparsify(sparsity=0.5, epochs=2),), (), "there is no training data"),
        ((Sparsify(sparsity=0.5, criterion="movement"),), tuple(Fact), "movement without epochs"),
        ((Sparsify(pattern="4:4"),), tuple(Fact), "N below M"),
        ((Prune(macs=0.5, device="pi4"),), tuple(Fact), "a device without p95_ms"),
    ],
)
def test_what_is_missing_is_said(stages: tuple[StageParameters, ...], available: tuple[Fact, ...], part: str) -> None:
    assert part in refused(*stages, available=available)


def test_pipeline_refuses_an_order_that_never_runs_when_it_is_made() -> None:
    with pytest.raises(UsageError, match="distill is the first stage"):
        Pipeline([Distill()])


def test_something_else_among_the_stages_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a str among the stages; expected one of Finetune, Prune"):
        Pipeline(["prune"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (Prune, "none of macs, parameters"),
        (lambda: Prune(macs=0.5, bytes=0.5), "macs and bytes of macs"),
        (lambda: Prune(macs=1.5), "Prune: macs is 1.5; expected a number above 0 and below 1"),
        (lambda: Quantize("int9"), "Quantize: scheme is 'int9'; expected one of int8"),
        (lambda: Sparsify(pattern="2-4"), "N:M"),
        (lambda: Finetune(epochs=0), "epochs is 0"),
    ],
)
def test_value_that_is_not_legal_is_refused_where_it_is_given(make: type[StageParameters], part: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert part in str(caught.value)
