# SPDX-License-Identifier: Apache-2.0
"""`systemctl` and `journalctl` of the boards in `tests.ssh_board`: one service as its unit says, without its fences.

It is told of by the same interface as systemd's: credentials in a folder, state in a folder, READY over a socket.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

UNIT = Path("/etc/systemd/system/edge-agent.service")
DROP_INS = Path("/etc/systemd/system/edge-agent.service.d")
PID, LOG, CALLS = Path("/run/edge-agent.pid"), Path("/run/edge-agent.log"), Path("/run/systemctl.calls")
ENABLED = Path("/run/edge-agent.enabled")
CREDENTIALS, STATE = Path("/run/credentials/edge-agent.service"), Path("/var/lib/edge-agent")


def main() -> int:
    words = [word for word in sys.argv[1:] if word != "--quiet"]
    if Path(sys.argv[0]).name == "journalctl":
        sys.stdout.write("".join(LOG.read_text().splitlines(keepends=True)[-5:]) if LOG.exists() else "")
        return 0
    with CALLS.open("a") as calls:
        calls.write(" ".join(words) + "\n")
    match words:
        case ["--version"]:
            sys.stdout.write("systemd 252 (252.39)\n")
        case ["restart", "edge-agent"]:
            stop()
            return start()
        case ["enable", "edge-agent"]:
            ENABLED.touch()
        case ["disable", "--now", "edge-agent"]:
            ENABLED.unlink(missing_ok=True)
            stop()
        case ["daemon-reload"] | ["reset-failed", "edge-agent"] | ["restart", "systemd-journald"]:
            pass
        case _:
            sys.stderr.write(f"systemctl {words}: not known here\n")
            return 1
    return 0


def stop() -> None:
    if not PID.exists():
        return
    with contextlib.suppress(ProcessLookupError):
        pid = int(PID.read_text())
        os.kill(pid, signal.SIGTERM)
        while Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
            os.sched_yield()
    PID.unlink()


def start() -> int:
    """0 once it has told READY, 1 where it ends before."""
    text = UNIT.read_text() + "".join(path.read_text() for path in sorted(DROP_INS.glob("*.conf")))
    shutil.rmtree(CREDENTIALS, ignore_errors=True)
    CREDENTIALS.mkdir(parents=True)
    for name, source in re.findall(r"^LoadCredential=([^:\n]+):(\S+)$", text, re.MULTILINE):
        shutil.copy(source, CREDENTIALS / name)
    STATE.mkdir(parents=True, exist_ok=True)
    (command,) = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    folders = {"STATE_DIRECTORY": str(STATE), "CREDENTIALS_DIRECTORY": str(CREDENTIALS)}
    words = [re.sub(r"\$\{(\w+)\}", lambda match: folders[match[1]], word) for word in command.split()]
    address = "/run/notify"
    Path(address).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, LOG.open("a") as log:
        manager.bind(address)
        manager.settimeout(0.2)
        given = dict(
            pair.split("=", 1)
            for line in re.findall(r"^Environment=(.+)$", text, re.MULTILINE)
            for pair in line.split()
        )
        environ = {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": address, **given}
        process = subprocess.Popen(
            words, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        PID.write_text(str(process.pid))
        while process.poll() is None:
            with contextlib.suppress(TimeoutError):
                if manager.recv(4096).startswith(b"READY=1"):
                    return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
