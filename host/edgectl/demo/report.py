# SPDX-License-Identifier: Apache-2.0
"""The demo's files: `report.json`, `report.html`, `front.png` and the deployed bundle."""

from __future__ import annotations

import json
import os
from pathlib import Path

from edgectl_protos.errors import UsageError

from edgectl.demo.outcome import DemoOutcome
from edgectl.demo.report_page import render_page
from edgectl.search.front_page import front_section
from edgectl.search.front_picture import write_front_picture

PAGE, DOCUMENT, PICTURE = "report.html", "report.json", "front.png"


def check_folder(folder: Path) -> None:
    """Refuse, before any work, a folder that could not be written at the end.

    Raises:
        UsageError: it is a file, or it and its nearest existing parent may not be written.
    """
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"{folder} cannot be written", expected="a folder, or room for one", action="choose another with --out"
        )


def write_report(outcome: DemoOutcome, folder: Path) -> Path:
    """Write the files into `folder`, made where it is missing, each whole or not at all; the path of the page.

    Raises:
        UsageError: the folder cannot be made or written.
    """
    front = outcome.search.front
    contents = {
        f"{outcome.deployed.name}.edge": outcome.bundle,
        DOCUMENT: (json.dumps(outcome.document(), indent=2, allow_nan=False) + "\n").encode(),
        PAGE: render_page(outcome, front=front_section(front)).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            temporary = folder / f".{name}.part"
            temporary.write_bytes(data)
            temporary.replace(folder / name)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror or error})", action="choose another folder with --out"
        ) from error
    if front.complete:
        write_front_picture(folder / PICTURE, front)
    return folder / PAGE
