# SPDX-License-Identifier: GPL-2.0-or-later
# Stands in front of the guest's scripts: what they check with.
D=/sys/kernel/debug/provoke-crash
bad=0
mount -t debugfs none /sys/kernel/debug 2>/dev/null

# log_since COMMAND...: runs it, then $log holds what the kernel said meanwhile and $status how it ended.
run() {
	dmesg -c >/dev/null
	"$@" >/dev/null 2>&1
	status=$?
	log=$(dmesg)
}
ok() { # NAME TEXT...: every TEXT must be in $log
	name=$1; shift
	for text; do
		case "$log" in *"$text"*) ;; *) echo "BAD $name: no '$text' in: $log"; bad=1; return ;; esac
	done
	echo "ok $name"
}
loads() { run modprobe lkdtm "$@"; [ $status = 0 ] || { echo "BAD: modprobe lkdtm $*: $log"; bad=1; }; }
refuses() { # ERRNO-TEXT PARAMETER...: modprobe fails so, and the module is not there
	want=$1; shift
	dmesg -c >/dev/null
	words=$(modprobe lkdtm "$@" 2>&1) && { echo "BAD: modprobe lkdtm $* succeeded"; bad=1; rmmod lkdtm; }
	log=$(dmesg)
	case "$words" in *"$want"*) ;; *) echo "BAD: modprobe lkdtm $*: '$words', not '$want'"; bad=1 ;; esac
	[ ! -e /sys/module/lkdtm ] && [ ! -e $D ] || { echo "BAD: lkdtm $* left something behind"; bad=1; }
}
write() { # FILE TEXT: as one write
	run sh -c "echo '$2' >$D/$1"
}
clean() { # the kernel has nothing to complain about
	if dmesg | grep -E "WARNING|BUG|Oops|Call Trace|refcount"; then echo "BAD: the log is not clean"; bad=1; fi
}
