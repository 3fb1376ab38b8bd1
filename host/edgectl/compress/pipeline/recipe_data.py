# SPDX-License-Identifier: Apache-2.0
"""What a recipe's data function returns: labelled splits, or what `Pipeline.run` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgectl_protos.errors import DatasetError, UsageError
from edgectl_protos.spelling import describe_known

from edgectl.compress.data.example import Example, Inputs, example_arguments
from edgectl.compress.data.splits import FOLDER, DataSplits, check_splits, load_splits
from edgectl.compress.entry_points import call_entry_point, load_entry_point
from edgectl.compress.pipeline.initial import exported_state, state_of
from edgectl.compress.pipeline.models import build_model
from edgectl.compress.pipeline.sources import Sources, split_sources, user_sources
from edgectl.compress.recipe import Recipe
from edgectl.compress.state import ModelState

EXAMPLE = "example_inputs"
KEYS = (EXAMPLE, "example_kwargs", "calibration", "training", "evaluation", "loss", "labels")
GOLDEN_CASES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A recipe's model and data, ready to run.

    Attributes:
        state: the model, exported.
        example: how it is called.
        sources: the data.
        golden: inputs of single items, to check programs by; from held-out items where there are any.
        labels: of the classes; empty where there are none.
        splits: where the data are labelled items that are held whole.
    """

    state: ModelState
    example: Example
    sources: Sources
    golden: tuple[Inputs, ...]
    labels: tuple[str, ...]
    splits: DataSplits | None


def prepare(recipe: Recipe) -> Prepared:
    """Load the data, build the model, export it.

    Raises:
        DatasetError: the data function is missing, fails, or returns something else.
        UsageError, CompileError: see `initial_state`.
    """
    value = _loaded(recipe.data)
    if isinstance(value, DataSplits):
        return _of_splits(recipe, value)
    module = build_model(recipe.model, recipe.model_arguments, seed=recipe.seed)
    keywords = value.get("example_kwargs") or {}
    state, example, notes = exported_state(module, example_arguments(value[EXAMPLE]), keywords)
    sources = user_sources(
        example,
        calibration=value.get("calibration"),
        training=value.get("training"),
        evaluation=value.get("evaluation"),
        loss=value.get("loss"),
        notes=notes,
    )
    labels = tuple(str(label) for label in value.get("labels") or ())
    return Prepared(state, example, sources, (state.example_inputs,), labels, None)


def _of_splits(recipe: Recipe, data: DataSplits) -> Prepared:
    state = state_of(build_model(recipe.model, recipe.model_arguments, seed=recipe.seed), data)
    rows = min(GOLDEN_CASES, len(data.test_inputs))
    golden = tuple((data.test_inputs[row : row + 1],) for row in range(rows))
    return Prepared(state, Example.of(state), split_sources(data), golden, data.labels, data)


def _loaded(spec: str) -> DataSplits | dict[str, Any]:
    if spec.startswith(FOLDER):
        return load_splits(spec)
    try:
        function = load_entry_point(spec)
    except UsageError as error:
        raise DatasetError(f"data: {error.seen}", expected=error.expected, action=error.action) from error
    value = call_entry_point(function, spec, {}, failure=DatasetError)
    if not isinstance(value, Mapping) or EXAMPLE not in value:
        return check_splits(value, source=spec)
    for key in value:
        if key not in KEYS:
            raise DatasetError(f"{spec} returned {key!r}", expected=describe_known(str(key), KEYS))
    return dict(value)
