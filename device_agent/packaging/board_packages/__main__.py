# SPDX-License-Identifier: Apache-2.0
"""`python -m board_packages runner|wheel|deb --arch ARCH`: what the Makefile's targets for boards call."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edgectl_protos.errors import EdgectlError

from board_packages.architecture import architecture_named
from board_packages.build import Workplace, make_deb, make_runner, make_wheel
from board_packages.committed import read_committed

_ROOT = Path(__file__).resolve().parents[3]


def main(arguments: Sequence[str] | None = None) -> int:
    """Build one package and print where it is; the exit code."""
    parser = argparse.ArgumentParser(prog="board_packages", description="Builds what a board installs.")
    parser.add_argument("what", choices=("runner", "wheel", "deb"))
    parser.add_argument("--arch", required=True, metavar="aarch64|x86_64")
    parser.add_argument("--build", type=Path, default=_ROOT / "build" / "boards", help="where intermediate files go")
    parser.add_argument("--dist", type=Path, default=_ROOT / "dist", help="where packages go")
    given = parser.parse_args(arguments)
    try:
        architecture = architecture_named(given.arch)
        committed = read_committed()
        place = Workplace(root=_ROOT, build=given.build.absolute(), dist=given.dist.absolute())
        if given.what == "runner":
            _show(make_runner(place, architecture, committed)[0].program)
        elif given.what == "wheel":
            _show(make_wheel(place, architecture, committed))
        else:
            _show(make_deb(place, architecture, committed))
    except EdgectlError as error:
        sys.stderr.write(f"board_packages: {error.code}: {error.message}\n")
        return int(error.exit_code)
    except OSError as error:
        sys.stderr.write(f"board_packages: {error}\n")
        return 1
    return 0


def _show(path: Path) -> None:
    sys.stdout.write(f"{path} {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    sys.exit(main())
