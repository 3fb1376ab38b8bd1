# SPDX-License-Identifier: Apache-2.0
# Sourced by install.sh and uninstall.sh: one ssh connection to the board, opened once, so that a password is asked for once.
# EDGECTL_SSH is the ssh command, as GIT_SSH_COMMAND is git's: EDGECTL_SSH='ssh -p 2222 -i key'. Host keys are checked as ssh does.

say() { printf '%s\n' "$*"; }
# refuse SEEN EXPECTED ACTION: one line, the exit code 10
refuse() { printf 'error: %s; expected %s; %s\n' "$1" "$2" "$3" >&2; exit 10; }

ssh_command=${EDGECTL_SSH:-ssh}
board_folder=
control=${EDGECTL_SSH_CONTROL:-}

# on_board COMMAND [ssh's own options]: runs a command on the board, with this one's input and output.
on_board() {
  remote=$1
  shift
  # The command may have options, as GIT_SSH_COMMAND's.
  # shellcheck disable=SC2086
  $ssh_command -o ControlMaster=auto -o ControlPath="$control/%C" -o ControlPersist=60 -o ConnectTimeout=15 -o ServerAliveInterval=15 \
    "$@" -- "$destination" "$remote"
}

close_connection() {
  status=$?
  trap - EXIT INT TERM HUP
  if [ -n "$board_folder" ]; then on_board "rm -rf '$board_folder'" </dev/null >/dev/null 2>&1 || true; fi
  if [ -z "${EDGECTL_SSH_CONTROL:-}" ] && [ -n "$control" ]; then
    # shellcheck disable=SC2086
    $ssh_command -o ControlPath="$control/%C" -O exit -- "$destination" >/dev/null 2>&1 || true
    rm -rf "$control"
  fi
  if [ -n "${staging:-}" ]; then rm -rf "$staging"; fi
  exit "$status"
}

open_connection() {
  program=${ssh_command%% *}
  command -v "$program" >/dev/null || refuse "no $program here" "an ssh client" "install it: apt-get install openssh-client"
  case "$destination" in
    ''|-*) refuse "destination '$destination'" "USER@HOST" "give the board as ssh takes it, such as pi@192.168.1.20" ;;
  esac
  trap close_connection EXIT
  trap 'exit 130' INT TERM HUP
  if [ -z "$control" ]; then control=$(mktemp -d "${TMPDIR:-/tmp}/edgectl-ssh.XXXXXX"); fi
  on_board true </dev/null ||
    refuse "cannot log in to $destination" "an ssh server that lets you in" "try it: $ssh_command $destination"
}

# What board.sh check tells, into $facts; a board that cannot run the agent ends it here.
look() {
  facts=$(on_board 'sh -s check' < "$folder/board.sh") || exit $?
  root=$(fact root)
}
fact() { printf '%s\n' "$facts" | sed -n "s/^$1=//p" | head -n 1; }

# Sends the folder $staging over; $board_folder is where it is then. Only this user may read it there, and it goes at the end.
send() {
  board_folder=$(COPYFILE_DISABLE=1 tar -cf - -C "$staging" . |
    on_board 'umask 077 && d=$(mktemp -d "${TMPDIR:-/tmp}/edgectl.XXXXXX") && { tar -xf - -C "$d" || { rm -rf "$d"; false; }; } && echo "$d"') ||
    refuse "the files could not be sent" "room in the board's /tmp" "free some space there"
  case "$board_folder" in
    /*[!A-Za-z0-9./_-]*|[!/]*|'') board_folder=; refuse "the board answered otherwise than a folder's name" "a shell that prints nothing at login" "see what 'ssh $destination true' prints" ;;
  esac
}

# as_root_on_board WORDS: board.sh with these words, as root.
as_root_on_board() {
  case "$root" in
    root) on_board "sh '$board_folder/board.sh' $*" </dev/null ;;
    sudo) on_board "sudo -n sh '$board_folder/board.sh' $*" </dev/null ;;
    password)
      [ -t 0 ] || refuse "sudo asks for a password on the board, and there is no terminal here" "one of them" \
        "run it in a terminal, or let this user use sudo without a password"
      on_board "sudo sh '$board_folder/board.sh' $*" -t ;;
    *) refuse "this user is not root on the board, and there is no sudo" "a way to become root" "log in as root, or install sudo there" ;;
  esac
}
