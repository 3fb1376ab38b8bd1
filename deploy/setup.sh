#!/usr/bin/env bash
# Prepares a checkout: virtual environment, pinned dependencies, system packages where it may install them, the native runner.
# Usage: deploy/setup.sh demo|test|boards Called by the Makefile; a second run finds its stamp and does nothing.
# boards is what building packages for boards and emulating boards needs, without torch; test includes its system packages.
# Supported: Debian 12 and 13, Ubuntu 24.04, Raspberry Pi OS 12 and 13 (64-bit), on x86_64 and aarch64, Python 3.11 to 3.13.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:?usage: deploy/setup.sh demo|test|boards}
venv=${VENV:-.venv}
torch_version=2.13.0

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

stamp_of() { cat deploy/setup.sh deploy/constraints.txt pyproject.toml device_agent/pyproject.toml protos/pyproject.toml | cksum | cut -d' ' -f1; }
stamp="$venv/.setup-$purpose-$(stamp_of)"
[ -e "$stamp" ] && exit 0

case "$(uname -m)" in
  x86_64|aarch64|arm64) ;;
  *) die "this machine is $(uname -m); expected x86_64 or aarch64; on a Raspberry Pi install the 64-bit Raspberry Pi OS" ;;
esac

# A package that gives a missing command; installed where that needs no password, named where it does.
need() {
  local missing=()
  while [ $# -gt 0 ]; do
    eval "$2" >/dev/null 2>&1 || missing+=("$1")
    shift 2
  done
  [ ${#missing[@]} -eq 0 ] && return
  local as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
    say "installing system packages: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 && return
  fi
  die "missing system packages: ${missing[*]}; install them: sudo apt-get install ${missing[*]}"
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  die "found $(python3 --version 2>&1 || echo 'no python3'); expected Python 3.11 to 3.13; install one, or set PYTHON=/path/to/python"
}

need python3 'command -v python3'
python=$(find_python)
need g++ 'command -v g++' python3-venv "$python -c 'import ensurepip'"
# Tests start an sshd of their own on loopback. The package's service would open this machine to its network: it is masked first.
sshd_there() { PATH=$PATH:/usr/sbin:/usr/local/sbin command -v sshd >/dev/null; }
mask_sshd() {
  local as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  "${as_root[@]}" ln -sf /dev/null /etc/systemd/system/ssh.service 2>/dev/null &&
    "${as_root[@]}" ln -sf /dev/null /etc/systemd/system/ssh.socket 2>/dev/null || true
}
if [ "$purpose" = test ]; then
  sshd_there || mask_sshd
  need mosquitto 'PATH=$PATH:/usr/sbin:/usr/local/sbin command -v mosquitto' openssh-server sshd_there openssh-client 'command -v ssh-keygen' \
    systemd 'command -v systemd-analyze'
fi
if [ "$purpose" != demo ]; then
  need g++-aarch64-linux-gnu 'command -v aarch64-linux-gnu-g++' qemu-user 'command -v qemu-aarch64' \
    qemu-system-arm 'command -v qemu-system-aarch64' qemu-utils 'command -v qemu-img' mmdebstrap 'command -v mmdebstrap' \
    e2fsprogs 'PATH=$PATH:/usr/sbin:/sbin command -v mke2fs'
fi

if [ ! -x "$venv/bin/python" ]; then
  say "creating $venv with $("$python" --version)"
  "$python" -m venv "$venv"
fi
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
export PIP_CONSTRAINT="$PWD/deploy/constraints.txt"

# The default index may answer with a CUDA build of several GB; uv knows where the CPU build is.
install_torch() {
  "$venv/bin/python" -c "import torch, sys; sys.exit(torch.__version__.split('+')[0] != '$torch_version')" 2>/dev/null && return
  local chosen
  chosen=$("${pip[@]}" install --quiet --dry-run --no-deps --ignore-installed --report - "torch==$torch_version" 2>/dev/null |
    "$venv/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["install"][0]["metadata"]["version"])' || true)
  say "installing torch $torch_version (CPU build)"
  if [[ "$chosen" == *+cpu || "$(uname -s)" == Darwin ]]; then
    "${pip[@]}" install --quiet "torch==$torch_version"
  else
    "${pip[@]}" install --quiet uv
    "$venv/bin/uv" pip install --python "$venv/bin/python" --quiet --torch-backend cpu "torch==$torch_version" ||
      die "no CPU build of torch $torch_version could be installed; install it into $venv by hand, then run make again"
  fi
}

if [ "$purpose" = boards ]; then
  say "installing what builds packages for boards"
  "${pip[@]}" install --quiet -e protos cmake ninja
  find "$venv" -maxdepth 1 -name ".setup-$purpose-*" -delete
  touch "$stamp"
  exit 0
fi

extras=demo,build
[ "$purpose" = test ] && extras=demo,build,development
install_torch
say "installing edgectl, its agent and their dependencies"
"${pip[@]}" install --quiet -e protos -e device_agent -e ".[$extras]"
find "$venv" -maxdepth 1 -name ".setup-$purpose-*" -delete
touch "$stamp"
say "ready: $venv"
