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

# The mirror this machine's apt already uses for Debian.
machine_mirror() {
	command -v apt-get >/dev/null || return 0
	apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
		awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }'
}

# What making a Debian root takes on the host.
install_host_tools() {
	local missing=()
	command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
	[ ${#missing[@]} = 0 ] && return
	command -v apt-get >/dev/null || die "${missing[*]} missing and no apt-get here: install them with your package manager"
	say "installing ${missing[*]}"
	run_logged "apt-get update (is the network up?)" "$CACHE/apt.log" apt-get update -q
	run_logged "installing ${missing[*]}" "$CACHE/apt.log" \
		env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
}

# find_mirror: sets mirror and aptopts, mmdebstrap's arguments.
find_mirror() {
	mirror=${MIRROR:-$(machine_mirror)}
	if [ -z "$mirror" ] && command -v apt-get >/dev/null; then
		# A fresh image may have sources but no lists yet.
		run_logged "apt-get update (is the network up?)" "$CACHE/apt.log" apt-get update -q
		mirror=$(machine_mirror)
	fi
	[ -n "$mirror" ] || die "this machine's apt names no Debian mirror: give one with MIRROR=URL"

	# Proxy, certificate and validity settings of this machine hold for its mirror in the build root as well.
	aptopts=(--aptopt='Apt::Install-Recommends "false"')
	while read -r line; do
		[ -z "$line" ] || aptopts+=(--aptopt="${line%;}")
	done < <(apt-config dump 2>/dev/null | grep -iE '^Acquire::(Check-Valid-Until|Check-Date|https?::(Proxy|CaInfo)[^ ]*) "[^"]' || true)
}
