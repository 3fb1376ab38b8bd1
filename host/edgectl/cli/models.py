# SPDX-License-Identifier: Apache-2.0
"""A model as the command line names it: a bundle's file, or the name of a model that a device has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgectl_protos.bundle import BundleInfo, open_bundle
from edgectl_protos.errors import StateError
from edgectl_protos.spelling import suggestion

from edgectl.cli.progress import BYTES, Progress

if TYPE_CHECKING:
    from edgectl.lab.client import AgentClient
    from edgectl.lab.device_values import Installed, InstalledModel

BUNDLE_SUFFIX = ".edge"


def bundle_path(reference: str) -> Path | None:
    """The path, where `reference` looks like one or is a file that exists; None where it is a model's name."""
    path = Path(reference)
    looks_like_path = reference.endswith(BUNDLE_SUFFIX) or "/" in reference or "\\" in reference
    return path if looks_like_path or path.is_file() else None


def read_bundle(path: Path) -> BundleInfo:
    """The manifest of a whole bundle, checked before a device is asked for anything.

    A device that has a bundle is not sent it again, and would not notice that the file here is damaged.

    Raises:
        UsageError: it is missing or a folder.
        BundleError: it is no bundle, or damaged.
    """
    with open_bundle(path) as bundle:
        bundle.verify()
        return bundle.info


def upload(client: AgentClient, path: Path, progress: Progress) -> Installed:
    """Send a bundle to a device, where it does not have it already.

    Raises:
        IncompatibleBundleError: the device has not the memory for its program; nothing is sent.
    """
    from edgectl.lab.device_memory import check_memory

    with open_bundle(path) as bundle:
        check_memory(bundle.info.manifest, client.info)
    with progress.task(f"send {path.name}", unit=BYTES) as task:
        return client.put_bundle(path, progress=lambda sent, total: task.reach(sent, total=total))


def active_model(client: AgentClient, name: str) -> InstalledModel:
    """The active version of a model on the device.

    Raises:
        StateError: there is none.
    """
    active = {model.name: model for model in client.info.models if model.active}
    if name not in active:
        known = ", ".join(sorted(active)) or "none"
        raise StateError(
            f"no active model {name[:80]!r} on {client.info.name}",
            expected=f"one of its active models: {known}",
            action=suggestion(name, active, otherwise="deploy a bundle first, or give a bundle's path"),
        )
    return active[name]
