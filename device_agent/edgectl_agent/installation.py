# SPDX-License-Identifier: Apache-2.0
"""How a bundle gets onto the device and into service: put -> verify -> stage -> golden check -> switch; and back.

Each step either completes or leaves things as they were. Once a bundle's bytes are complete, and once an activation or
a rollback has begun, it runs to its end even where the caller goes away. Changes of one model are serialised by two
locks, always taken in this order: `content` (what a slot holds: staging, and whoever reads a slot that does not
serve), then `switch` (which slot serves).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from edgectl_protos.bundle import open_bundle
from edgectl_protos.errors import BundleError, GateError, RunnerError, StateError
from edgectl_protos.manifest import Budgets, Manifest, check_device_fits
from edgectl_protos.topics import check_name

from edgectl_agent.resident import give_back_pages
from edgectl_agent.runner.command import RunnerCommand
from edgectl_agent.runner.golden import check_golden
from edgectl_agent.runner.models import ServedModels
from edgectl_agent.runner.runtime import RuntimeFacts
from edgectl_agent.store.slots import ModelStore, Slot
from edgectl_agent.store.uploads import UploadArea, no_space_is_a_state

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class PutResult:
    """What was put; `already_present` says that its bytes were not needed."""

    slot: Slot
    already_present: bool


@dataclass(frozen=True, slots=True)
class Activation:
    """What serves now, what a rollback would bring back ("" for nothing), and the golden check's largest error."""

    name: str
    digest: str
    previous_digest: str
    max_abs_error: float
    budgets: Budgets


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What serves now, and what did before."""

    name: str
    digest: str
    rolled_back_digest: str


@dataclass(slots=True)
class _Locks:
    content: asyncio.Lock = field(default_factory=asyncio.Lock)
    switch: asyncio.Lock = field(default_factory=asyncio.Lock)


class Installation:
    """The one path by which bundles come in, whoever brings them."""

    def __init__(
        self,
        *,
        store: ModelStore,
        uploads: UploadArea,
        models: ServedModels,
        runner: RunnerCommand,
        runtime: RuntimeFacts,
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._models = models
        self._runner = runner
        self._runtime = runtime
        self._locks: defaultdict[str, _Locks] = defaultdict(_Locks)
        self._under_way: set[asyncio.Task[Any]] = set()

    async def put(self, digest: str, size: int, chunks: AsyncIterator[bytes]) -> PutResult:
        """Receive a bundle of `size` bytes and stage it.

        `chunks` is not read where the bundle is there already.

        Raises:
            BundleError: it is damaged, or is another than announced.
            IncompatibleBundleError: it does not fit this device.
            UsageError, StateError: it is too large, or there is no room.
        """
        present = self._store.find_digest(digest)
        if present is not None:
            return PutResult(present, already_present=True)
        with ExitStack() as files:
            upload = files.enter_context(self._uploads.receive(size))
            async for chunk in chunks:
                upload.write(chunk)
            upload.finish()
            return await self._to_completion(self._stage(upload.path, digest, files.pop_all()))

    async def activate(self, name: str, digest: str) -> Activation:
        """Let the staged bundle pass the golden check, then serve it.

        Raises:
            StateError: there is no such bundle.
            GateError: it failed its check, or its runner did not start; what served before still does.
        """
        return await self._to_completion(self._activate(check_name(name, what="model name"), digest))

    async def rollback(self, name: str) -> RolledBack:
        """Serve again what served before the last activation.

        Raises:
            StateError: there is nothing to go back to.
        """
        return await self._to_completion(self._rollback(check_name(name, what="model name")))

    @asynccontextmanager
    async def held(self, name: str, digest: str) -> AsyncIterator[Slot]:
        """The slot with that digest ("" means the active one); its files stay while the block runs.

        Raises:
            StateError: there is none.
        """
        async with self._locks[check_name(name, what="model name")].content:
            model = self._store.model(name)
            slot = model.find(digest) if digest else model.active
            if slot is None:
                raise _absent(name, digest)
            yield slot

    async def finish(self) -> None:
        """Wait for what must not be broken off."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _stage(self, path: Path, digest: str, files: ExitStack) -> PutResult:
        with files:
            folder = files.enter_context(self._uploads.unpacking())
            name = await asyncio.to_thread(self._unpack, path, digest, folder)
            async with self._locks[name].content, self._locks[name].switch:
                present = self._store.model(name).find(digest)
                if present is not None:
                    return PutResult(present, already_present=True)
                slot = await asyncio.to_thread(self._store.stage, folder, name=name)
                return PutResult(slot, already_present=False)

    def _unpack(self, path: Path, digest: str, folder: Path) -> str:
        """Verify the bundle and write its members below `folder`; the model's name."""
        with open_bundle(path) as bundle:
            if bundle.info.digest != digest:
                raise BundleError(
                    f"a bundle with digest {bundle.info.digest[:12]}",
                    expected=f"{digest[:12]}, which its header announces",
                    action="send the file again",
                )
            self._check_fits(bundle.info.manifest)
            self._uploads.check_room(sum(member.bytes for member in bundle.info.manifest.members.values()))
            try:
                with no_space_is_a_state():
                    bundle.unpack(folder)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise BundleError(
                    f"member {error.filename!r} is in another's way", expected="files beside each other"
                ) from error
            return bundle.info.manifest.name

    async def _activate(self, name: str, digest: str) -> Activation:
        async with self._locks[name].switch:
            slot = self._store.model(name).find(digest)
            if slot is None:
                raise _absent(name, digest)
            self._check_fits(slot.manifest)
            max_abs_error = await check_golden(self._runner, slot)
            before = self._store.model(name).active
            await asyncio.to_thread(self._store.activate, name, digest)
            await self._serve_or_restore(name, slot, before)
            previous = self._store.model(name).previous
            give_back_pages()
            return Activation(name, digest, previous.digest if previous else "", max_abs_error, slot.manifest.budgets)

    async def _serve_or_restore(self, name: str, slot: Slot, before: Slot | None) -> None:
        try:
            await self._models.serve(name, slot)
        except RunnerError as error:
            await asyncio.to_thread(self._store.restore, name, before)
            await self._models.withdraw(name)
            if before is not None:
                await self._models.serve_all({name: before})
            raise GateError(
                error.seen, expected="a runner that starts", action="the bundle that served before serves again"
            ) from error

    async def _rollback(self, name: str) -> RolledBack:
        async with self._locks[name].switch:
            model = self._store.model(name)
            if not model.slots:
                known = ", ".join(sorted(self._store.models()))
                raise StateError(
                    f"no model {name!r} on this device",
                    expected=f"one of {known}" if known else "one that is there",
                    action="" if known else "run `edgectl deploy` first",
                )
            if model.active is None or model.previous is None:
                raise StateError(
                    f"nothing to roll {name!r} back to",
                    expected="a bundle that was active before",
                    action="run `edgectl deploy` with the bundle you want",
                )
            await asyncio.to_thread(self._store.restore, name, model.previous)
            await self._models.serve(name, model.previous)
            return RolledBack(name, model.previous.digest, model.active.digest)

    def _check_fits(self, manifest: Manifest) -> None:
        facts = self._runtime
        check_device_fits(manifest, runtime=facts.runtime, architecture=facts.architecture, delegates=facts.delegates)

    async def _to_completion(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved here: the caller may be gone


def _absent(name: str, digest: str) -> StateError:
    what = f"bundle {digest[:12]!r} of {name!r}" if digest else f"active bundle of {name!r}"
    return StateError(f"no {what} on this device", expected="one that is", action="run `edgectl deploy` first")
