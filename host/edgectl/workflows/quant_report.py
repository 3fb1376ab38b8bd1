# SPDX-License-Identifier: Apache-2.0
"""What quantization did to each layer of a model that was compressed before: read from a result, or made again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgectl_protos.bundle import open_bundle
from edgectl_protos.errors import UsageError

from edgectl.cores import NEVER_PAUSED, Work

if TYPE_CHECKING:
    from edgectl.compress.data.example import Inputs
    from edgectl.compress.pipeline import PipelineObserver
    from edgectl.compress.quantize.layer_errors import LayerError
    from edgectl.compress.recipe import Recipe
    from edgectl.compress.state import ModelState

STAGES_FILE = "stages.json"
_TAKEN = "a bundle, a recipe's YAML, a folder of `edgectl compress`, or a folder that Result.save wrote"


@dataclass(frozen=True, slots=True)
class QuantReport:
    """Layers, the worst first, and operators that compute in float whatever the scheme, with their places."""

    source: str
    scheme: str
    items: int
    layers: tuple[LayerError, ...]
    unannotated: dict[str, tuple[str, ...]]

    def document(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {
            "source": self.source,
            "scheme": self.scheme,
            "items": self.items,
            "layers": [layer.document() for layer in self.layers],
            "unannotated": {name: list(places) for name, places in self.unannotated.items()},
        }


def quant_report(
    path: Path, *, cache: Path | None, observer: PipelineObserver, work: Work = NEVER_PAUSED
) -> QuantReport:
    """The report on what `path` names: a bundle and a recipe are run again (stages come from the cache), a result read.

    Raises:
        UsageError: it is nothing of the kind, or its model is not quantized.
        EdgectlError: its recipe fails.
    """
    state, batches = _subject(path, cache, observer, work)
    if state.quantization is None:
        raise UsageError(f"{path} is not quantized", expected="a recipe with a quantize stage")
    from edgectl.compress.quantize.layer_errors import layer_errors, unannotated_operators

    with work.working("report"):
        errors = layer_errors(state, batches, work=work)
    items = sum(len(batch[0]) for batch in batches)
    scheme = str(state.quantization.scheme)
    return QuantReport(str(path), scheme, items, errors, unannotated_operators(state.graph))


def _subject(path: Path, cache: Path | None, observer: PipelineObserver, work: Work) -> tuple[ModelState, list[Inputs]]:
    if path.is_dir() and not (path / STAGES_FILE).is_file():
        from edgectl.compress.result import Result

        result = Result.load(path)
        return result.state, [result.state.example_inputs]
    return _run_again(_recipe(path), cache, observer, work)


def _recipe(path: Path) -> Recipe:
    from edgectl.compress.recipe import load_recipe, parse_recipe

    if path.suffix in (".yaml", ".yml"):
        return load_recipe(path)
    if path.is_dir():
        document = json.loads((path / STAGES_FILE).read_text("utf-8")).get("recipe")
    elif path.is_file():
        with open_bundle(path) as bundle:
            document = bundle.info.manifest.provenance.get("recipe")
    else:
        raise UsageError(f"{path} is not there", expected=_TAKEN)
    if not isinstance(document, dict):
        raise UsageError(f"{path} does not say which recipe made it", expected=_TAKEN)
    return parse_recipe(json.dumps(document), source=str(path))  # JSON is YAML


def _run_again(
    recipe: Recipe, cache: Path | None, observer: PipelineObserver, work: Work
) -> tuple[ModelState, list[Inputs]]:
    from edgectl.compress.pipeline import run_stages
    from edgectl.compress.pipeline.cache import StageCache
    from edgectl.compress.pipeline.recipe_data import prepare
    from edgectl.compress.quantize.layer_errors import report_items

    prepared = prepare(recipe)
    *_, last = run_stages(
        prepared.state,
        prepared.sources,
        recipe.stages,
        seed=recipe.seed,
        observer=observer,
        work=work,
        cache=None if cache is None else StageCache(cache),
        signature=prepared.example.signature,
    )
    return last.state, report_items(last.state, prepared.sources.calibration, seed=recipe.seed)
