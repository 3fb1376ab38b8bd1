# SPDX-License-Identifier: Apache-2.0
"""Who hears of a pipeline's progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edgectl.compress.pipeline.run import StageResult


class PipelineObserver(Protocol):
    """Hears of progress; called on the thread that runs the stages."""

    def stage_started(self, name: str, steps: int) -> None:
        """A stage begins; it will advance `steps` times (0 for one that does not learn)."""
        ...

    def stage_advanced(self, loss: float) -> None:
        """One training step is done."""
        ...

    def stage_finished(self, result: StageResult) -> None:
        """The stage is done and measured."""
        ...


class SilentObserver:
    """Tells nobody."""

    def stage_started(self, name: str, steps: int) -> None:
        """Do nothing."""

    def stage_advanced(self, loss: float) -> None:
        """Do nothing."""

    def stage_finished(self, result: StageResult) -> None:
        """Do nothing."""
