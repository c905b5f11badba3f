# SPDX-License-Identifier: GPL-2.0-or-later
# Shared by the scripts in this folder: where the cache is, how to talk to a person.
# Source it; it runs nothing.

# Everything big (build root, kernels, prepared kernel trees, cargo's registry) lives here, outside the tree.
CACHE=${KDUMPKIT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/kdumpkit}
TREE=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "error: $*"; exit 1; }

# need_root WHAT
need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root: run it as root (chroot and mount are used)"; }

# need_space GIB WHERE WHAT
need_space() {
	local have
	mkdir -p "$2" || die "cannot create $2: set KDUMPKIT_CACHE to a writable folder"
	have=$(df --output=avail -B1G "$2" | tail -n 1 | tr -d ' ')
	[ "$have" -ge "$1" ] ||
		die "$3 needs $1 GiB in $2, $have GiB are free: free some or set KDUMPKIT_CACHE to another disk"
}

# with_lock NAME: serialises the rest of the calling script against others with the same NAME.
with_lock() {
	mkdir -p "$CACHE" || die "cannot create $CACHE: set KDUMPKIT_CACHE to a writable folder"
	exec 9>"$CACHE/.$1.lock"
	flock -w "${LOCK_TIMEOUT_S:-1800}" 9 || die "another run holds $CACHE/.$1.lock for too long: end it and try again"
}

# run_logged STEP LOG COMMAND...: silent when it works; on failure shows the end of the log and stops.
run_logged() {
	local step=$1 log=$2 status
	shift 2
	# Not as a condition: bash would ignore errexit inside COMMAND, and a failure half-way would pass.
	set +e
	(set -e; "$@") >"$log" 2>&1
	status=$?
	set -e
	[ "$status" != 0 ] || return 0
	tail -n 15 "$log" >&2
	die "$step failed; the whole output is in $log"
}
