# SPDX-License-Identifier: Apache-2.0
"""The licence texts that a package for boards carries: ours, ExecuTorch's, and those of what ExecuTorch bundles."""

from __future__ import annotations

from pathlib import Path

from board_packages.archive import Member

# What BUNDLED.txt lists, as one SPDX expression.
EXPRESSION = "Apache-2.0 AND BSD-3-Clause AND BSD-2-Clause AND MIT AND MPL-2.0"


def licence_members(root: Path, executorch: Path) -> list[Member]:
    """`LICENSE`, `executorch.txt`, and every file of device_agent/packaging/licences, by name."""
    texts = {path.name: path for path in (root / "device_agent/packaging/licences").iterdir()}
    texts |= {"LICENSE": root / "LICENSE", "executorch.txt": executorch}
    return [Member(name, path.read_bytes()) for name, path in sorted(texts.items())]
