# SPDX-License-Identifier: Apache-2.0
"""The serving runners of all active models, by name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from edgectl_protos.errors import EdgectlError, StateError
from edgectl_protos.tensors import TensorData, check_inputs

from edgectl_agent.background import Background
from edgectl_agent.clock import Clock
from edgectl_agent.runner.frames import RunnerStats
from edgectl_agent.runner.listing import ModelListing
from edgectl_agent.runner.serving import Inference, ServeCommand
from edgectl_agent.runner.sockets import SocketFolder
from edgectl_agent.runner.supervisor import ModelSupervisor
from edgectl_agent.store.slots import Slot

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServingFigures:
    """What is known of a model's runner: how many were started up to it, and its figures or why it gives none."""

    starts: int
    stats: RunnerStats | EdgectlError


class ServedModels:
    """One supervisor for each active model; its socket and its listing are in `folder`, which is closed at the end."""

    def __init__(self, folder: SocketFolder, *, command: ServeCommand, clock: Clock, background: Background) -> None:
        self._folder = folder
        self._command = command
        self._clock = clock
        self._background = background
        self._supervisors: dict[str, ModelSupervisor] = {}
        self._slots: dict[str, Slot] = {}

    async def serve(self, name: str, slot: Slot) -> None:
        """Serve `slot` as `name`, in place of what was served.

        Raises:
            RunnerError: its runner did not start; it is tried again.
        """
        self._slots[name] = slot
        supervisor = self._supervisor(name)
        manifest = slot.manifest
        since = self._clock.monotonic_ns()
        self._folder.publish(
            ModelListing(name, manifest.version, slot.digest, manifest.inputs, manifest.outputs, serving_since_ns=since)
        )
        await supervisor.serve(slot)

    async def serve_all(self, slots: Mapping[str, Slot]) -> None:
        """Serve what was active before the agent started; a model that does not start is logged and tried again."""
        await asyncio.gather(*(self._serve_or_log(name, slot) for name, slot in slots.items()))

    async def withdraw(self, name: str) -> None:
        """Stop serving `name`."""
        self._slots.pop(name, None)
        supervisor = self._supervisors.pop(name, None)
        if supervisor is not None:
            self._folder.withdraw(name)
            await supervisor.close()

    async def infer(self, name: str, inputs: tuple[TensorData, ...]) -> Inference:
        """Run the active program of `name`.

        Raises:
            StateError: no such model is active.
            InputError: the tensors do not fit the program.
            RunnerError: the runner is down, busy or ended.
        """
        slot = self._slots.get(name)
        if slot is None:
            raise StateError(
                f"no active model {name!r}",
                expected=f"one of {', '.join(sorted(self._slots)) or 'none: nothing is active'}",
                action="run `edgectl deploy` with its bundle",
            )
        check_inputs(tuple(tensor.spec for tensor in inputs), slot.manifest.inputs)
        return await self._supervisors[name].infer(inputs)

    async def stats(self) -> dict[str, ServingFigures]:
        """Each runner's figures, or why it gives none."""
        figures: dict[str, ServingFigures] = {}
        for name, supervisor in list(self._supervisors.items()):
            starts = supervisor.starts
            try:
                figures[name] = ServingFigures(starts, await supervisor.stats())
            except EdgectlError as error:
                figures[name] = ServingFigures(starts, error)
        return figures

    async def close(self) -> None:
        for name in list(self._supervisors):
            await self.withdraw(name)
        self._folder.close()

    async def _serve_or_log(self, name: str, slot: Slot) -> None:
        try:
            await self.serve(name, slot)
        except EdgectlError as error:
            _log.warning("%s does not serve: %s", name, error.message)

    def _supervisor(self, name: str) -> ModelSupervisor:
        if name not in self._supervisors:
            address = self._folder.address(name)
            self._supervisors[name] = ModelSupervisor(
                name, command=self._command, address=address, clock=self._clock, background=self._background
            )
            self._folder.admit(name)
        return self._supervisors[name]
