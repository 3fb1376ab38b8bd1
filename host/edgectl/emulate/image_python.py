# SPDX-License-Identifier: Apache-2.0
"""The agent's environment in the guest's file system: wheels for aarch64, put where pip on the board puts them."""

from __future__ import annotations

import configparser
import re
import sys
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from edgectl_protos.errors import UsageError

from edgectl.emulate.image_debian import PYTHON
from edgectl.emulate.programs import run_program

PREFIX = "opt/edgectl"
SITE_PACKAGES = f"{PREFIX}/lib/{PYTHON}/site-packages"

_GUEST_GLIBC = 36  # 2.36, Debian 12's
_OLDEST_GLIBC = 17
_MAXIMUM_BYTES = 512 << 20
_DATA = re.compile(r"[^/]+\.data/(scripts|data|purelib|platlib)/(.+)")
_ENTRY_POINT = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")
_SHEBANG = b"#!python"


def make_environment(root: Path, wheel: Path, downloads: Path) -> None:
    """Make /opt/edgectl in the guest's `root` with `wheel` and what it depends on; `downloads` is an empty folder.

    Raises:
        StateError: pip is missing or cannot get a dependency.
        UsageError: a wheel is damaged.
    """
    fetch_dependencies(wheel, downloads)
    binaries = root / PREFIX / "bin"
    binaries.mkdir(parents=True)
    (root / SITE_PACKAGES).mkdir(parents=True)
    for name in ("python", "python3", PYTHON):
        (binaries / name).symlink_to(f"/usr/bin/{PYTHON}")
    settings = {"home": "/usr/bin", "include-system-site-packages": "false"}
    (root / PREFIX / "pyvenv.cfg").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
    for path in sorted(downloads.glob("*.whl")):
        unpack_wheel(path, root)


def fetch_dependencies(wheel: Path, into: Path) -> None:
    """Download the wheels that `wheel` depends on, and put it beside them.

    Raises:
        StateError: pip is missing, or there is no wheel for the guest.
    """
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(_GUEST_GLIBC, _OLDEST_GLIBC - 1, -1)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    chosen = ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON.removeprefix('python')}"]
    chosen += [f"--platform={name}" for name in (*platforms, "manylinux2014_aarch64", "any")]
    run_program([*pip, *chosen, f"--dest={into}", str(wheel)], what="fetching the agent's dependencies for aarch64")


def unpack_wheel(wheel: Path, root: Path) -> None:
    """Put a wheel's files (binary distribution format, PyPA specifications) into the environment of the guest's `root`.

    Raises:
        UsageError: it is damaged, or a name in it leads out of the environment.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAXIMUM_BYTES:
                raise _damaged(wheel, f"more than {_MAXIMUM_BYTES} bytes unpacked")
            for member in archive.infolist():
                if not member.is_dir():
                    _write(archive.read(member), root / destination(member.filename, wheel), wheel)
            _write_commands(archive, root, wheel)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise _damaged(wheel, str(error)) from error


def destination(name: str, wheel: Path) -> str:
    """Where a member goes, below the guest's root.

    Raises:
        UsageError: it leads elsewhere.
    """
    special = _DATA.fullmatch(name)
    scheme, rest = (special[1], special[2]) if special else ("purelib", name)
    folder = {"scripts": f"{PREFIX}/bin", "data": PREFIX}.get(scheme, SITE_PACKAGES)
    parts = PurePosixPath(rest).parts
    if rest.startswith("/") or "\\" in rest or ".." in parts or not parts:
        raise _damaged(wheel, f"a member {name[:80]!r}")
    return f"{folder}/{rest}"


def command_script(module: str, function: str) -> str:
    """The program that pip makes of an entry point."""
    package = module.partition(".")[0]
    return (
        f"#!/{PREFIX}/bin/python\n"
        f"# {package}\n"
        "import sys\n"
        f"from {module} import {function}\n"
        'if __name__ == "__main__":\n'
        f"    sys.exit({function}())\n"
    )


def _write(data: bytes, path: Path, wheel: Path) -> None:
    if path.is_symlink():  # the guest's python: written to, it would be this machine's
        raise _damaged(wheel, f"a member for {path.name[:80]!r}, which is the environment's own")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.name == "bin" and data.startswith(_SHEBANG):
        data = f"#!/{PREFIX}/bin/python".encode() + data.removeprefix(_SHEBANG)
    path.write_bytes(data)
    if path.parent.name == "bin":
        path.chmod(0o755)


def _write_commands(archive: zipfile.ZipFile, root: Path, wheel: Path) -> None:
    listed = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
    for name in listed:
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        try:
            parser.read_string(archive.read(name).decode())
        except (configparser.Error, UnicodeDecodeError) as error:
            raise _damaged(wheel, f"its entry points are none ({' '.join(str(error).split())[:80]})") from error
        for command, target in parser["console_scripts"].items() if "console_scripts" in parser else ():
            match = _ENTRY_POINT.fullmatch(target.strip())
            if match is None or not re.fullmatch(r"[\w.-]+", command):
                raise _damaged(wheel, f"an entry point {command[:40]} = {target[:80]}")
            _write(command_script(match[1], match[2]).encode(), root / PREFIX / "bin" / command, wheel)


def _damaged(wheel: Path, seen: str) -> UsageError:
    return UsageError(f"{wheel.name} is damaged: {seen}", expected="a wheel as it was built", action="build it again")
