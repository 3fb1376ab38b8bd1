#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is done on the board. install.sh and uninstall.sh send it over and call it; it also runs alone, in a folder laid out as below.
#   board.sh check                 what the board is, as NAME=VALUE lines; then refuses one that cannot run the agent
#   board.sh install               installs what lies beside this file, starts it, and goes back to what was before if it does not start
#   board.sh rollback              goes back to what was before the last install
#   board.sh uninstall [--purge]   removes the agent; --purge also its models and state
#   board.sh doctor [-o json]      runs `edge-agent doctor`
# All but check need root. Beside this file: edge-agent.service, journald.conf, wheels/*.whl; and where they are to be replaced:
# identity/{ca.pem,device.pem,device.key}, agent.toml, broker/* and broker.conf.
#
# An installation is a folder /opt/edgectl.d/N, a virtual environment with its settings in etc/; /opt/edgectl is a link to the
# one that runs. Putting another in place is one rename. The one before stays, so that going back needs no network.
set -eu
PATH=$PATH:/usr/sbin:/sbin
umask 022

LINK=/opt/edgectl
RELEASES=/opt/edgectl.d
SETTINGS=/etc/edgectl
UNIT=/etc/systemd/system/edge-agent.service
DROP_INS=/etc/systemd/system/edge-agent.service.d
JOURNAL=/etc/systemd/journald.conf.d/10-edgectl.conf
STATE=/var/lib/edge-agent
NEEDED_KIB=204800

here=$(cd "$(dirname "$0")" && pwd)

say() { printf '%s\n' "$*"; }
# refuse SEEN EXPECTED ACTION: one line, the exit code 10
refuse() { printf 'error: %s; expected %s; %s\n' "$1" "$2" "$3" >&2; exit 10; }
as_root() { [ "$(id -u)" -eq 0 ] || refuse "this user is not root" "root" "run it with sudo"; }
# put SOURCE TARGET MODE: replaces a file by a rename
put() { cp "$1" "$2.new" && chmod "$3" "$2.new" && mv -f "$2.new" "$2"; }

python_version() { python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }
userland_bits() { getconf LONG_BIT 2>/dev/null || python3 -c 'import struct; print(8 * struct.calcsize("P"))' 2>/dev/null || say 0; }
systemd_version() { systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p'; }
free_kib() { df -Pk /opt 2>/dev/null | { read -r _ && read -r _ _ _ free _ && say "$free"; } || true; }
root_kind() {
  if [ "$(id -u)" -eq 0 ]; then say root
  elif ! command -v sudo >/dev/null; then say none
  elif sudo -n true 2>/dev/null; then say sudo
  else say password; fi
}
# The value of a key in the settings that are installed.
setting() { sed -n "s/^$1 *= *\"\([^\"]*\)\".*/\1/p" $SETTINGS/agent.toml 2>/dev/null | head -n 1; }
installed_version() { [ -x $LINK/bin/edge-agent ] && $LINK/bin/edge-agent version 2>/dev/null | sed 's/^edge-agent //'; return 0; }
board_model() { [ ! -r /proc/device-tree/model ] || tr -d '\0' < /proc/device-tree/model; }
system_name() { sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\).*/\1/p' /etc/os-release 2>/dev/null; }
libc_version() { python3 -c 'import platform; print(platform.libc_ver()[1])' 2>/dev/null || true; }

check() {
  machine=$(uname -m) bits=$(userland_bits) python=$(python_version) systemd=$(systemd_version) free=$(free_kib) root=$(root_kind)
  say "machine=$machine"
  say "bits=$bits"
  say "board=$(board_model)"
  say "system=$(system_name)"
  say "libc=$(libc_version)"
  say "python=$python"
  say "systemd=$systemd"
  say "root=$root"
  say "free_kib=$free"
  say "installed=$(installed_version)"
  say "device=$(setting device)"
  say "listen=$(setting listen)"
  case "$machine/$bits" in
    aarch64/64|x86_64/64) ;;
    aarch64/32) refuse "32-bit programs on a 64-bit kernel" "a 64-bit system" "write the 64-bit Raspberry Pi OS to the card" ;;
    *) refuse "a $bits-bit system on $machine" "a 64-bit system on aarch64 or x86_64" "use a Raspberry Pi Zero 2 W, 3, 4 or 5 with the 64-bit Raspberry Pi OS" ;;
  esac
  if [ ! -d /run/systemd/system ] || [ -z "$systemd" ]; then
    refuse "no systemd" "a system that systemd starts" "use Debian or Raspberry Pi OS, or run edge-agent by hand: docs/agent.md"
  fi
  [ "$systemd" -ge 250 ] || refuse "systemd $systemd" "250 or later" "use Debian 12 or Raspberry Pi OS 12, or later"
  [ -n "$python" ] || refuse "no python3" "Python 3.11 or later" "sudo apt-get install python3"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    refuse "Python $python" "Python 3.11 or later" "use Debian 12 or Raspberry Pi OS 12, or later"
  python3 -c 'import venv' 2>/dev/null || refuse "python3 has no module venv" "Python's virtual environments" "sudo apt-get install python3-venv"
  [ -z "$free" ] || [ "$free" -ge $NEEDED_KIB ] ||
    refuse "$((free / 1024)) MiB free in /opt" "$((NEEDED_KIB / 1024)) MiB" "free some space, or use a larger card"
  if dpkg-query -W -f '${db:Status-Status}' edgectl-agent 2>/dev/null | grep -qx installed; then
    refuse "the Debian package edgectl-agent is installed" "one way of installing" "sudo apt-get remove edgectl-agent, or upgrade that package"
  fi
  [ "$root" != none ] || refuse "this user is not root, and there is no sudo" "a way to become root" "log in as root, or install sudo"
}

lock() {
  mkdir -p $RELEASES
  exec 9>$RELEASES/lock
  flock -n 9 || refuse "another installation is under way" "one at a time" "wait until it has ended"
}

current() { readlink $LINK 2>/dev/null | sed 's|.*/||'; }

# A virtual environment that was made by hand becomes the first installation.
adopt() {
  [ -d $LINK ] && [ ! -L $LINK ] || return 0
  rm -rf $RELEASES/0
  mv $LINK $RELEASES/0
  point_to 0
}

# The one rename that puts an installation in place.
point_to() {
  ln -sfn edgectl.d/"$1" /opt/.edgectl.new
  mv -T /opt/.edgectl.new $LINK
}

# Compiled now, as far as the agent loads it: the service may not write beside its program, and would compile it at every start. Without
# docstrings it takes 0.8 MB less; the standard library's part of that is kept here too, since it is Debian's. bytecode.conf has the
# service use it.
compile() {
  mkdir -p "$release/etc"
  chmod 700 "$release/etc"
  env -u PYTHONDONTWRITEBYTECODE PYTHONOPTIMIZE=2 PYTHONPYCACHEPREFIX="$release/bytecode" "$release/bin/python" -c '
import compileall, concurrent.futures.thread, encodings.idna, faulthandler, inspect, runpy, sys, tomllib, zipfile
import edgectl_agent.app, edgectl_agent.command_line, edgectl_agent.installation, edgectl_agent.measure.instrument
import edgectl_agent.rpc.server, edgectl_agent.service, edgectl_agent.store.uploads, edgectl_agent.telemetry.mqtt
for package in ("edgectl_agent", "edgectl_protos"):
    compileall.compile_dir(next(iter(sys.modules[package].__path__)), quiet=2)' 2>/dev/null || return 0
  printf '[Service]\nEnvironment=PYTHONOPTIMIZE=2 PYTHONPYCACHEPREFIX=%s/bytecode\n' "$release" > "$release/etc/bytecode.conf"
}

# unbuilt SEEN EXPECTED: nothing was put in place, and nothing is left.
unbuilt() {
  rm -rf "$release"
  refuse "$1" "$2" "see what it said above; what was installed before runs on"
}

build() {
  release=$RELEASES/$1
  set -- "$here"/wheels/edgectl_agent-*.whl
  [ -f "$1" ] || refuse "no edgectl_agent wheel in $here/wheels" "the agent's wheel" "build it: make agent-wheel ARCH=$(uname -m)"
  pip=$(find "$here/wheels" -name 'pip-*.whl' | head -n 1)
  if [ -n "$pip" ]; then
    say "making $release, from the packages that were sent"
    python3 -m venv --without-pip "$release"
    PYTHONPATH="$pip" "$release/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile --no-index \
      --find-links "$here/wheels" "$1" || unbuilt "pip could not install the agent from what was sent" "wheels for Python $(python_version)"
  else
    say "making $release, with packages from this board's own index"
    python3 -m venv "$release" >/dev/null || unbuilt "python3 cannot make a virtual environment with pip" "python3-venv: sudo apt-get install python3-venv"
    "$release/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile "$1" ||
      unbuilt "pip could not install the agent" "an index that the board reaches, or the packages sent along"
  fi
  compile
  "$release/bin/edge-agent" version >/dev/null || unbuilt "edge-agent does not run on this board" "packages for its Python"
  "$release/bin/edge-runner" info >/dev/null || unbuilt "edge-runner does not run on this board" "a wheel for it"
}

# keep FOLDER: what is in place now, into FOLDER/etc, so that it can come back.
keep() {
  mkdir -p "$1/etc/identity" "$1/etc/broker"
  chmod 700 "$1/etc"
  for name in agent.toml identity/ca.pem identity/device.pem identity/device.key broker/password broker/ca.pem; do
    if [ -f "$SETTINGS/$name" ]; then cp -p "$SETTINGS/$name" "$1/etc/$name"; fi
  done
  if [ -f $UNIT ]; then cp -p $UNIT "$1/etc/edge-agent.service"; fi
  if [ -f $DROP_INS/broker.conf ]; then cp -p $DROP_INS/broker.conf "$1/etc/broker.conf"; fi
}

# bring FOLDER: what was sent, over what was kept.
bring() {
  cp "$here/edge-agent.service" "$here/journald.conf" "$1/etc/"
  if [ -f "$here/agent.toml" ]; then
    cp "$here/agent.toml" "$1/etc/"
    rm -f "$1/etc/broker.conf" "$1"/etc/broker/*
    if [ -f "$here/broker.conf" ]; then cp "$here/broker.conf" "$1/etc/" && cp "$here"/broker/* "$1/etc/broker/"; fi
  fi
  if [ -f "$here/identity/device.key" ]; then cp "$here"/identity/* "$1/etc/identity/"; fi
  for name in agent.toml identity/ca.pem identity/device.pem identity/device.key; do
    [ -f "$1/etc/$name" ] || refuse "nothing was sent for $SETTINGS/$name, and none is there" "it" "give the identity and the name"
  done
}

# activate N: its settings and itself in place, and the service started anew; fails where that does not say that it answers.
activate() {
  etc=$RELEASES/$1/etc
  mkdir -p $SETTINGS/identity $SETTINGS/broker /etc/systemd/system $DROP_INS
  chmod 755 $SETTINGS
  chmod 700 $SETTINGS/identity $SETTINGS/broker
  put "$etc/agent.toml" $SETTINGS/agent.toml 644
  for name in ca.pem device.pem device.key; do put "$etc/identity/$name" $SETTINGS/identity/$name 600; done
  for name in broker.conf bytecode.conf; do
    rm -f $DROP_INS/$name
    if [ -f "$etc/$name" ]; then put "$etc/$name" $DROP_INS/$name 644; fi
  done
  for name in password ca.pem; do
    rm -f $SETTINGS/broker/$name
    if [ -f "$etc/broker/$name" ]; then put "$etc/broker/$name" $SETTINGS/broker/$name 600; fi
  done
  put "$etc/edge-agent.service" $UNIT 644
  point_to "$1"
  systemctl daemon-reload
  systemctl enable --quiet edge-agent
  systemctl restart edge-agent
}

# A board's journal is bounded by a tenth of its card otherwise; whoever has set a bound keeps it.
bound_journal() {
  if grep -rqsE '^[[:space:]]*(System|Runtime)MaxUse=' /etc/systemd/journald.conf /etc/systemd/journald.conf.d /run/systemd/journald.conf.d \
    /usr/lib/systemd/journald.conf.d --exclude="$(basename $JOURNAL)"; then
    rm -f $JOURNAL
    return 0
  fi
  mkdir -p "$(dirname $JOURNAL)"
  if ! cmp -s "$here/journald.conf" $JOURNAL; then
    put "$here/journald.conf" $JOURNAL 644
    systemctl restart systemd-journald
  fi
}

last_words() { journalctl -u edge-agent -n 5 -o cat --no-pager 2>/dev/null | tr '\n' '|' | cut -c 1-600 || true; }

# Each in a process of its own, which ends at the first step that fails.
activated() { sh "$here/board.sh" activate "$1"; }

withdraw() {
  if [ -n "$1" ]; then
    say "going back to $RELEASES/$1"
    activated "$1" || say "the installation before does not start either: see journalctl -u edge-agent"
  else
    say "removing what was installed"
    remove
  fi
}

install_agent() {
  as_root
  lock
  adopt
  before=$(current)
  number=1
  while [ -e "$RELEASES/$number/etc/complete" ] || [ "$number" = "$before" ]; do number=$((number + 1)); done
  rm -rf "${RELEASES:?}/$number"
  build "$number"
  if [ -n "$before" ]; then keep "$RELEASES/$before"; fi
  keep "$RELEASES/$number"
  bring "$RELEASES/$number"
  touch "$RELEASES/$number/etc/complete"
  say "starting edge-agent"
  if ! activated "$number"; then
    words=$(last_words)
    withdraw "$before"
    rm -rf "${RELEASES:?}/$number"
    refuse "the agent does not start: $words" "one that answers" "see journalctl -u edge-agent on the board"
  fi
  bound_journal
  for folder in "$RELEASES"/*/; do
    name=$(basename "$folder")
    [ "$name" = "$number" ] || [ "$name" = "$before" ] || rm -rf "$folder"
  done
  printf '%s\n' "$before" > $RELEASES/before
  say "edge-agent $(installed_version) runs"
}

rollback() {
  as_root
  lock
  [ -L $LINK ] || refuse "nothing is installed" "an agent of edgectl device install" "install it"
  # Empty where there was none before; gone where that has been put back already.
  [ -f $RELEASES/before ] || refuse "what was before the last install is in place, or gone" "an install to go back from" \
    "install again, or uninstall"
  failed=$(current)
  before=$(cat $RELEASES/before)
  withdraw "$before"
  rm -rf "${RELEASES:?}/$failed" $RELEASES/before
}

remove() {
  systemctl disable --quiet --now edge-agent 2>/dev/null || true
  rm -f $UNIT
  rm -rf $DROP_INS
  systemctl daemon-reload
  systemctl reset-failed edge-agent 2>/dev/null || true
  if [ -f $JOURNAL ]; then
    rm -f $JOURNAL
    systemctl restart systemd-journald
  fi
  rm -rf $LINK $RELEASES $SETTINGS
}

uninstall() {
  as_root
  lock
  remove
  if [ "${1:-}" = --purge ]; then
    # DynamicUser keeps the state below private, and a link to it here.
    rm -rf /var/lib/private/edge-agent $STATE
    say "the agent is removed, and its models and state"
  elif [ -e $STATE ] || [ -e /var/lib/private/edge-agent ]; then
    say "the agent is removed; its models and state stay in $STATE (--purge removes them)"
  else
    say "the agent is removed"
  fi
}

doctor() {
  as_root
  [ -x $LINK/bin/edge-agent ] || refuse "no agent in $LINK" "an installed agent" "run edgectl device install"
  exec $LINK/bin/edge-agent doctor --config $SETTINGS/agent.toml "$@"
}

command=${1:-}
[ $# -eq 0 ] || shift
case "$command" in
  check) check ;;
  install) install_agent ;;
  activate) as_root; activate "$1" ;; # a step of install and rollback
  rollback) rollback ;;
  uninstall) uninstall "$@" ;;
  doctor) doctor "$@" ;;
  *) refuse "board.sh $command" "check, install, rollback, uninstall or doctor" "see the head of the file" ;;
esac
