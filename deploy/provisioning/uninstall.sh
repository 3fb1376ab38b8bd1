#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Removes the agent from a board over ssh. `edgectl device uninstall` calls this; it runs alone as well.
# Usage: uninstall.sh [--purge] [--dry-run] DESTINATION      --purge removes its models and state too
# EDGECTL_SSH is the ssh command, as GIT_SSH_COMMAND is git's. Exit codes: 0 done, 1 failed, 10 refused with one line that says why.
set -eu

folder=$(cd "$(dirname "$0")" && pwd)
. "$folder/connection.sh"

purge='' mode=uninstall
while [ $# -gt 0 ]; do
  case "$1" in
    --purge) purge=--purge; shift ;;
    --dry-run) mode=dry-run; shift ;;
    --) shift; break ;;
    -*) refuse "unknown option $1" "uninstall.sh [--purge] [--dry-run] DESTINATION" "see the head of $0" ;;
    *) break ;;
  esac
done
[ $# -eq 1 ] || refuse "$# words" "uninstall.sh [--purge] [--dry-run] DESTINATION" "see the head of $0"
destination=$1

open_connection
# A board that could not run the agent may still have one to remove: what it lacks is no matter here.
facts=$(on_board 'sh -s check' < "$folder/board.sh" 2>/dev/null) || true
root=$(fact root)
say "$facts"
if [ "$mode" = dry-run ]; then
  say "would stop edge-agent and remove /opt/edgectl, /opt/edgectl.d, /etc/edgectl, its unit and its bound on the journal"
  [ -z "$purge" ] || say "would remove its models and state, /var/lib/edge-agent"
  exit 0
fi
staging=$(mktemp -d "${TMPDIR:-/tmp}/edgectl-uninstall.XXXXXX")
cp "$folder/board.sh" "$staging/"
send
as_root_on_board uninstall $purge
