# SPDX-License-Identifier: Apache-2.0
"""A board for tests: a real sshd, behind which everything runs within namespaces of this machine.

The board has this machine's files, but /etc, /opt, /var, /run and /usr/local are its own: what is written there is
nowhere else, and gone at the end with every process. It has no systemd (that needs a machine of its own: the emulated
one); in its place is a `systemctl` that starts the unit's command with its credentials and waits for READY.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.agents import children_of, eventually, free_port

_SYSTEMCTL = Path(__file__).with_name("board_systemctl.py")

_MOUNTS = """
set -e
exec 3> {ready}
mount --make-rprivate /
mount -t tmpfs tmpfs {base}
for name in etc opt var usr/local; do
  mkdir -p {base}/$name/upper {base}/$name/work
  mount -t overlay overlay -o lowerdir=/$name,upperdir={base}/$name/upper,workdir={base}/$name/work /$name
done
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
printf '#!%s\\n' {python} | cat - {systemctl} > /usr/local/bin/systemctl
chmod 755 /usr/local/bin/systemctl
ln -sf systemctl /usr/local/bin/journalctl
rm -f /usr/local/bin/python3
printf '#!/bin/sh\\nexec {python} "$@"\\n' > /usr/local/bin/python3
chmod 755 /usr/local/bin/python3
echo ready >&3
exec 3>&-
exec sleep infinity
"""

_ENTER = """#!/bin/sh
export TMPDIR={temporary} PATH=/usr/local/bin:/usr/bin:/bin
exec nsenter {user} --target {holder} --mount --pid sh -c "${{SSH_ORIGINAL_COMMAND:-true}}"
"""
"""Whatever is asked for over ssh is done within the board."""

_SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
ForceCommand {folder}/enter
"""

_SSH = """
Host board
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {folder}/user_key
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  KexAlgorithms curve25519-sha256
  LogLevel ERROR
"""


@dataclass(frozen=True, slots=True)
class SshBoard:
    """A board that ssh reaches as `destination` with the `environ`; `temporary` is its folder for temporary files."""

    destination: str
    environ: dict[str, str]
    temporary: Path
    enter: Path

    def attempt(self, command: str) -> subprocess.CompletedProcess[str]:
        """A command done there as root, past ssh, since that is quicker."""
        environ = os.environ | {"SSH_ORIGINAL_COMMAND": command}
        return subprocess.run([self.enter], env=environ, capture_output=True, text=True, check=False, timeout=60)

    def run(self, command: str) -> str:
        """What a command prints there; it has to end well."""
        done = self.attempt(command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def put_program(self, name: str, text: str) -> None:
        """A program that the board finds before its own of that name."""
        self.run(f"cat > /usr/local/bin/{name} <<'END'\n{text}\nEND\nchmod 755 /usr/local/bin/{name}")

    def remove_program(self, name: str) -> None:
        self.run(f"rm /usr/local/bin/{name}")

    def exists(self, path: str) -> bool:
        return self.run(f"if [ -e {path} ]; then echo yes; fi") == "yes\n"


@contextlib.contextmanager
def ssh_board(folder: Path, python: Path) -> Iterator[SshBoard]:
    """A fresh board; `python` is its python3. Files about it are in `folder`."""
    temporary = folder / "temporary"
    temporary.mkdir(parents=True)
    with _namespaces(folder, python) as holder:
        enter = folder / "enter"
        user = "" if os.geteuid() == 0 else "--user --preserve-credentials"
        enter.write_text(_ENTER.format(temporary=temporary, user=user, holder=holder))
        enter.chmod(0o755)
        with _sshd(folder) as config:
            yield SshBoard("board", os.environ | {"EDGECTL_SSH": f"ssh -F {config}"}, temporary, enter)


@contextlib.contextmanager
def _namespaces(folder: Path, python: Path) -> Iterator[int]:
    """The pid of the first process of the board; its end is the end of every other."""
    base, ready = folder / "board", folder / "ready"
    base.mkdir()
    script = _MOUNTS.format(base=base, ready=ready, systemctl=_SYSTEMCTL, python=python)
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *user, "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script]
    with _running(command, folder / "namespaces.log") as process:
        eventually(lambda: process.poll() is not None or (ready.exists() and ready.read_text() == "ready\n"))
        assert process.poll() is None, (folder / "namespaces.log").read_text()
        (holder,) = children_of(process.pid)
        yield holder


@contextlib.contextmanager
def _sshd(folder: Path) -> Iterator[Path]:
    """The configuration of ssh for the board's sshd."""
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    assert program is not None, "sshd is not installed: apt-get install openssh-server"
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it drops its privileges
    port = free_port()
    (folder / "sshd_config").write_text(_SSHD.format(port=port, folder=folder))
    host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    config = folder / "ssh_config"
    config.write_text(_SSH.format(port=port, folder=folder, user=getpass.getuser()))
    log = folder / "sshd.log"
    with _running([program, "-D", "-e", "-f", str(folder / "sshd_config")], log) as process:
        eventually(lambda: process.poll() is not None or "Server listening" in log.read_text())
        assert process.poll() is None, log.read_text()
        yield config


@contextlib.contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as process,
    ):
        try:
            yield process
        finally:
            process.kill()  # unshare passes no milder signal on; its child goes with it
