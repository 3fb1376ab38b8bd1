#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the agent on a board over ssh, or upgrades it. `edgectl device install` calls this; it runs alone as well.
# Usage: install.sh [OPTION...] DESTINATION NAME      DESTINATION as ssh takes it: pi@192.168.1.20; NAME of the device
#   --wheel FILE          the agent's wheel for the board (make agent-wheel ARCH=aarch64)
#   --wheels DIR          wheels of all it needs, and of pip: nothing is fetched then; otherwise the board's own pip fetches
#   --identity DIR        ca.pem, device.pem, device.key, made by `edgectl device add`; needed unless the board has one
#   --listen HOST:PORT    where the agent listens (0.0.0.0:50051)
#   --mqtt HOST:PORT, --mqtt-user NAME, --mqtt-password-file FILE, --mqtt-ca FILE    the broker for telemetry
#   --check | --dry-run   only look at the board | say what would be done
#   --rollback            go back to what was before the last install
#   --doctor              run `edge-agent doctor` there, -o json
# Settings that are on the board stay unless one of --listen and --mqtt... is given.
# EDGECTL_SSH is the ssh command, as GIT_SSH_COMMAND is git's. Exit codes: 0 done, 1 failed, 10 refused with one line that says why.
set -eu

folder=$(cd "$(dirname "$0")" && pwd)
. "$folder/connection.sh"

mode=install wheel='' wheels='' identity='' listen='' mqtt='' mqtt_user='' mqtt_password_file='' mqtt_ca=''
usage() { refuse "$1" "install.sh [OPTION...] DESTINATION NAME" "see the head of $0"; }
while [ $# -gt 0 ]; do
  case "$1" in
    --wheel|--wheels|--identity|--listen|--mqtt|--mqtt-user|--mqtt-password-file|--mqtt-ca)
      [ $# -ge 2 ] || usage "$1 without a value"
      eval "$(printf '%s' "${1#--}" | tr - _)=\$2"
      shift 2 ;;
    --check|--dry-run|--rollback|--doctor) mode=${1#--}; shift ;;
    --) shift; break ;;
    -*) usage "unknown option $1" ;;
    *) break ;;
  esac
done
destination=${1:-} name=${2:-}
case "$mode" in install|dry-run) [ $# -eq 2 ] || usage "$# words" ;; *) [ $# -eq 1 ] || usage "$# words" ;; esac
case "$name" in *[!A-Za-z0-9._-]*|[!A-Za-z0-9]*) usage "name '$name'" ;; esac
# They stand in a TOML string.
case "$listen$mqtt$mqtt_user" in *[\"\\]*|*[[:cntrl:]]*) usage "a setting with quotes or control characters" ;; esac

readable() { [ -r "$1" ] || refuse "$1 cannot be read" "$2" "correct the path"; }
unit=$folder/edge-agent.service

check_files() {
  [ -n "$wheel" ] || refuse "no --wheel" "the agent's wheel for the board" "build it: make agent-wheel ARCH=aarch64"
  readable "$wheel" "the agent's wheel"
  readable "$unit" "the service's unit"
  if [ -n "$wheels" ]; then
    set -- "$wheels"/pip-*.whl
    [ -r "$1" ] || refuse "no pip wheel in $wheels" "wheels of pip and of what the agent needs" "pip download --dest $wheels pip ..."
  fi
  if [ -n "$identity" ]; then
    for file in ca.pem device.pem device.key; do readable "$identity/$file" "an identity of edgectl device add"; done
  fi
  for file in "$mqtt_password_file" "$mqtt_ca"; do [ -z "$file" ] || readable "$file" "a file"; done
}

# Whether this board is another device already, and whether it gets what it lacks.
check_board() {
  there=$(fact device)
  if [ -n "$there" ] && [ "$there" != "$name" ]; then
    refuse "the board is the device '$there' already" "'$name', or a board without an agent" "give that name, or uninstall it first"
  fi
  if [ -z "$there" ] && [ -z "$identity" ]; then
    refuse "no --identity, and the board has none" "the folder of edgectl device add" "give it with --identity"
  fi
  case "$wheel" in
    *_"$(fact machine)".whl|*-none-any.whl) ;;
    *) refuse "$(basename "$wheel") on a board that is $(fact machine)" "a wheel for it" "make agent-wheel ARCH=$(fact machine)" ;;
  esac
}

settings() {
  printf '# Settings of the edgectl agent (docs/agent.md); after a change: systemctl restart edge-agent\n'
  printf 'device = "%s"\nlisten = "%s"\n' "$name" "${listen:-0.0.0.0:50051}"
  [ -n "$mqtt" ] || return 0
  printf 'mqtt = "%s"\n' "$mqtt"
  [ -z "$mqtt_user" ] || printf 'mqtt_user = "%s"\n' "$mqtt_user"
  # Where systemd shows the service what root owns.
  [ -z "$mqtt_password_file" ] || printf 'mqtt_password_file = "/run/credentials/edge-agent.service/broker.password"\n'
  [ -z "$mqtt_ca" ] || printf 'mqtt_ca = "/run/credentials/edge-agent.service/broker.ca.pem"\n'
}

broker_credentials() {
  [ -n "$mqtt_password_file$mqtt_ca" ] || return 0
  mkdir "$staging/broker"
  printf '[Service]\n' > "$staging/broker.conf"
  if [ -n "$mqtt_password_file" ]; then
    cp "$mqtt_password_file" "$staging/broker/password"
    printf 'LoadCredential=broker.password:/etc/edgectl/broker/password\n' >> "$staging/broker.conf"
  fi
  if [ -n "$mqtt_ca" ]; then
    cp "$mqtt_ca" "$staging/broker/ca.pem"
    printf 'LoadCredential=broker.ca.pem:/etc/edgectl/broker/ca.pem\n' >> "$staging/broker.conf"
  fi
}

# Everything that goes over, in a folder of its own that only this user may read.
stage() {
  staging=$(mktemp -d "${TMPDIR:-/tmp}/edgectl-install.XXXXXX")
  mkdir "$staging/wheels"
  cp "$folder/board.sh" "$folder/journald.conf" "$unit" "$staging/"
  cp "$wheel" "$staging/wheels/"
  if [ -n "$wheels" ]; then
    for file in "$wheels"/*.whl; do
      case "$(basename "$file")" in edgectl_agent-*) ;; *) cp "$file" "$staging/wheels/" ;; esac
    done
  fi
  if [ -n "$identity" ]; then
    mkdir "$staging/identity"
    for file in ca.pem device.pem device.key; do cp "$identity/$file" "$staging/identity/"; done
  fi
  if [ -z "$there" ] || [ -n "$listen$mqtt" ]; then
    settings > "$staging/agent.toml"
    broker_credentials
  fi
}

plan() {
  say "would send $(basename "$wheel")$([ -z "$wheels" ] || printf ' and what it needs'), the unit, settings$([ -z "$identity" ] || printf ' and the identity') to $destination"
  say "would make a new virtual environment in /opt/edgectl.d and point /opt/edgectl to it"
  say "would ${there:+keep /etc/edgectl where nothing was given, }write /etc/systemd/system/edge-agent.service, and bound the journal to 64 MiB"
  say "would start edge-agent, and go back to $([ -n "$there" ] && printf 'the installation before' || printf 'nothing installed') if it does not start"
}

# Only board.sh goes over.
stage_board() { staging=$(mktemp -d "${TMPDIR:-/tmp}/edgectl-install.XXXXXX") && cp "$folder/board.sh" "$staging/"; }

case "$mode" in install|dry-run) check_files ;; esac
open_connection
case "$mode" in
  check) look; say "$facts" ;;
  dry-run) look; say "$facts"; check_board; plan ;;
  install) look; say "$facts"; check_board; stage; send; as_root_on_board install ;;
  rollback) look; stage_board; send; as_root_on_board rollback ;;
  doctor) look; stage_board; send; as_root_on_board doctor -o json ;;
esac
