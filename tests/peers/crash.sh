#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In the guests of tests/peers/run. The first boot, with peers.prepare on the command line, waits for the capture kernel to be
# loaded. Later ones crash, and after the crash judge the dump and tell what there is to tell: lines that begin with "peers: ".
set -u
crashed=/var/lib/peers-crashed

say() { echo "peers: $*" >/dev/console; }
end() {
	sync
	systemctl --no-block poweroff
	exit
}
is_loaded() { [ "$(cat /sys/kernel/kexec_crash_loaded)" = 1 ]; }

# judge DUMP: it must be complete and of this crash
judge() {
	local dump=$1 plain=/var/crash/plain
	say "dump $(stat -c '%s %n' "$dump")"
	# kdump-tools writes a flattened stream; one that was cut off cannot be put together.
	case "$dump" in
	*/dump.*) "$kdumpkit" filter -R "$plain" <"$dump" >/tmp/judge 2>&1 ;;
	*) plain=$dump ;;
	esac && "$kdumpkit" report "$plain" >/tmp/judge 2>&1 && grep -q 'sysrq triggered crash' /tmp/judge || {
		say "the dump is not good: $(head -n 3 /tmp/judge | tr '\n' ' ')"
		end
	}
	say "the dump is good"
}

kdumpkit=/usr/local/lib/peers/kdumpkit
if [ -e $crashed ]; then
	found=
	for dump in /var/crash/*/vmcore /var/crash/*/dump.2* /var/crash/*/vmcore.2*; do
		[ -s "$dump" ] && found=$dump
	done
	[ -n "$found" ] || { say "no dump: $(ls -d /var/crash/*/* 2>&1 | tr '\n' ' ')"; end; }
	[ ! -e /var/lib/peers/memory ] || say "memory $(cat /var/lib/peers/memory)"
	[ ! -e /var/crash/kdumpkit-summary.json ] || say "summary $(tr -d '\n' </var/crash/kdumpkit-summary.json)"
	judge "$found"
	end
fi

# The units that load have ended: this one is after multi-user.target.
is_loaded || { say "not loaded"; end; }
say "loaded"
if grep -qw peers.prepare /proc/cmdline; then
	end
fi
touch $crashed
sync
say "crashing"
echo 1 >/proc/sys/kernel/sysrq
echo c >/proc/sysrq-trigger
