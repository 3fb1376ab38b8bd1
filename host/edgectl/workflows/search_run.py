# SPDX-License-Identifier: Apache-2.0
"""A search from its configuration to its front: study, sampler, builder and device put together."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgectl_protos.errors import UsageError

from edgectl.cores import NEVER_PAUSED, Work
from edgectl.lab.protocol import AnyProtocol
from edgectl.lab.quiet import TimedJob
from edgectl.lab.units import own_unit, protocol_for
from edgectl.search.configuration import SearchConfiguration, build_sampler
from edgectl.search.evaluator import Json
from edgectl.search.front import Front, build_front, front_document
from edgectl.search.loop import SearchObserver, run_search
from edgectl.search.objectives import measured_unit
from edgectl.search.study import Study
from edgectl.workflows.candidate import CandidateEvaluator
from edgectl.workflows.candidate_build import RecipeBuilder
from edgectl.workflows.output_folder import output_folder

if TYPE_CHECKING:
    from edgectl.lab.client import AgentClient
    from edgectl.lab.device_values import DeviceInfo

STUDY_FILE = "study.journal"


@dataclass(frozen=True, slots=True)
class FoundFront:
    """The front of a study, whether its space holds no further genome, and what is amiss, if anything is."""

    front: Front
    exhausted: bool
    message: str

    def document(self) -> dict[str, Json]:
        """`front_document` and the two others."""
        return {**front_document(self.front), "exhausted": self.exhausted, "message": self.message}


def search(
    configuration: SearchConfiguration,
    *,
    output_dir: Path,
    client: AgentClient,
    candidates: int,
    observer: SearchObserver,
    work: Work = NEVER_PAUSED,
    timed: TimedJob = nullcontext,
) -> FoundFront:
    """Search until the study in `output_dir` holds `candidates` results; what an earlier run left is gone on with.

    The folder is made when the device has answered, and goes again where nothing was put into it. `work` is asked to
    pause, and each candidate is measured within `timed`.

    Raises:
        UsageError: the study there was made with another configuration or on another device, or is damaged; or the
            device does not measure in the unit that the study optimizes.
        EdgectlError: see `run_search`.
    """
    settings = configuration.comparable_settings(device=_board(client.info))
    builder = RecipeBuilder(configuration.data, validation=configuration.validation, seed=configuration.seed, work=work)
    evaluator = CandidateEvaluator(
        configuration, build=builder, device=client, protocol=study_protocol(configuration, client.info), timed=timed
    )
    with output_folder(output_dir):
        study = Study.open(
            str(output_dir / STUDY_FILE),
            name=configuration.name,
            space=configuration.space,
            objectives=configuration.objectives,
            settings=settings,
        )
        outcome = run_search(
            configuration.space,
            evaluator,
            build_sampler(configuration.sampler, space=configuration.space, objectives=configuration.objectives),
            study,
            candidates=candidates,
            seed=configuration.seed,
            observer=observer,
        )
    front = build_front(outcome.trials, configuration.objectives, name=configuration.name)
    return FoundFront(front, outcome.exhausted, outcome.message)


def study_protocol(configuration: SearchConfiguration, info: DeviceInfo) -> AnyProtocol:
    """How the device measures candidates.

    Raises:
        UsageError: it measures in another unit than the study optimizes: times and instructions never mix.
    """
    unit, own = measured_unit(configuration.objectives), own_unit(info)
    if own != unit:
        emulated = f", which {info.emulator} emulates," if info.emulator else ""
        raise UsageError(
            f"device {info.name}{emulated} measures {own or 'neither ms nor insn'}",
            expected=f"one that measures {unit}, as the study {configuration.name} optimizes",
            action="search on another device, or put the other of p50_ms and insn among the objectives",
        )
    return protocol_for(unit, configuration.protocol if unit == "ms" else None, default="short")


def _board(info: DeviceInfo) -> dict[str, Json]:
    """What makes latencies comparable: `local` is another machine on another desk."""
    return {
        "name": info.name,
        "architecture": info.architecture,
        "cpu_model": info.cpu_model,
        "runtime": info.runtime,
    }
