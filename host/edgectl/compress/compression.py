# SPDX-License-Identifier: Apache-2.0
"""The public face: a pipeline of stages, run over a model that no one here wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgectl_protos.errors import UsageError

from edgectl.compress.legality import check_legality
from edgectl.compress.stages import (
    STAGE_KINDS,
    Checked,
    Distill,
    Finetune,
    Prune,
    Quantize,
    Sparsify,
    Stage,
    StageParameters,
    name_stages,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgectl.compress.pipeline.cache import StageCache
    from edgectl.compress.pipeline.meters import ProgramMeter
    from edgectl.compress.pipeline.observer import PipelineObserver
    from edgectl.compress.result import Result
    from edgectl.cores import Work


class Pipeline:
    """Stages in order, as `Pipeline([Prune(macs=0.5), Quantize("int8")])`.

    Args:
        stages: `Prune`, `Sparsify`, `Quantize`, `Finetune` and `Distill`, any number of them.
        seed: what every stage draws from, together with its name.

    Raises:
        UsageError: something else among the stages, or an order that is never legal: it says which, and why.
    """

    def __init__(self, stages: Sequence[Checked], *, seed: int = 0) -> None:
        steps: list[StageParameters] = []
        for step in stages:
            if not isinstance(step, Prune | Sparsify | Quantize | Finetune | Distill):
                made = ", ".join(kind.__name__ for kind in STAGE_KINDS.values())
                raise UsageError(f"a {type(step).__name__} among the stages", expected=f"one of {made}")
            steps.append(step)
        self.stages: tuple[Stage, ...] = name_stages(steps)
        self.seed = seed
        check_legality(self.stages)

    def run(
        self,
        model: nn.Module | Result,
        example_inputs: Sequence[Any] | torch.Tensor = (),
        example_kwargs: Mapping[str, Any] | None = None,
        *,
        calibration: Iterable[Any] | None = None,
        training: Iterable[Any] | None = None,
        evaluation: Callable[[nn.Module], Any] | None = None,
        loss: Callable[[Any, Any], torch.Tensor] | None = None,
        observer: PipelineObserver | None = None,
        meter: ProgramMeter | None = None,
        cache: StageCache | None = None,
        work: Work | None = None,
    ) -> Result:
        """Compress a model; the model itself is left as it is, in eval mode.

        What a stage cannot prune or quantize is left as it is; `frozen` of the result names the place and the reason.

        Args:
            model: any module that `torch.export` takes; or a result, to go on from, which knows its example.
            example_inputs: its positional arguments, batch 1: tensors, or pytrees of them.
            example_kwargs: its keyword arguments.
            calibration: iterable of input tuples, any batch; a bare tensor is a tuple of one. It is gone through once.
            training: iterable of (inputs, targets), gone through once an epoch; a generator is kept, up to 1 GiB.
            evaluation: from a model to a number, or to numbers by name; called for the baseline and each stage.
            loss: from outputs and targets to a scalar; without, cross entropy or mean squared error.
            observer: hears of progress.
            meter: lowers and measures each stage's program; without, those figures stay empty.
            cache: keeps what stages made, so that a second run goes on where the first was stopped.
            work: is asked to pause.

        Raises:
            UsageError: a stage lacks the data it needs; a target is unknown.
            CompileError: the model cannot be exported (which call, which line), or its weights are not finite.
            DatasetError: data that do not fit the example.
        """
        from edgectl.compress.data.example import example_arguments
        from edgectl.compress.pipeline.initial import exported_state
        from edgectl.compress.pipeline.observer import SilentObserver
        from edgectl.compress.pipeline.sources import user_sources
        from edgectl.compress.result import collected
        from edgectl.cores import NEVER_PAUSED

        arguments = example_arguments(example_inputs)
        state, example, notes = exported_state(model, arguments, example_kwargs)
        sources = user_sources(
            example, calibration=calibration, training=training, evaluation=evaluation, loss=loss, notes=notes
        )
        return collected(
            self.stages,
            state,
            example,
            sources,
            seed=self.seed,
            observer=observer or SilentObserver(),
            meter=meter,
            cache=cache,
            work=work or NEVER_PAUSED,
        )
