# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the guest: points armed under load while others are armed, disarmed and unloaded. STRESS_S seconds.
D=/sys/kernel/debug/provoke-crash
mount -t debugfs none /sys/kernel/debug 2>/dev/null
dmesg -c >/dev/null
pids=
for i in 1 2; do
	dd if=/dev/zero of=/dev/null bs=1 2>/dev/null & pids="$pids $!"
done
while :; do sleep 0.01; done & pids="$pids $!"
total=0; loads=0; end=$(($(date +%s) + STRESS_S))
while [ "$(date +%s)" -lt $end ]; do
	modprobe lkdtm || exit 1
	loads=$((loads + 1))
	for p in TIMERADD INT_TIMER_ENTRY INT_SOFTIRQ_ENTRY INT_SOFTIRQ_EN INT_HW_IRQ_EN FS_DEVRW; do
		echo "PANIC count=2000000000" >$D/$p || exit 1
	done
	for s in vfs_read vfs_write; do echo "$s PANIC count=2000000000" >$D/SYMBOL || exit 1; done
	# Arm again and disarm under the storm.
	for n in 1 2 3 4 5 6 7 8; do
		echo "vfs_read NONE comm=dd" >$D/SYMBOL
		echo "PANIC_IN_NMI count=1900000000" >$D/TIMERADD
		echo none >$D/INT_TIMER_ENTRY
		echo "NONE" >$D/INT_TIMER_ENTRY
	done
	sleep 3
	hits=$(cat $D/* | tr ' ' '\n' | awk -F= '/^hits=/ { n += $2 } END { print n + 0 }')
	total=$((total + hits))
	# Unload with everything armed and being hit.
	rmmod lkdtm || exit 1
done
kill $pids
echo "hits=$total loads=$loads"
if dmesg | grep -E "WARNING|BUG|Oops|Call Trace|fires"; then echo "BAD: the log is not clean"; exit 1; fi
[ "$total" -gt $((STRESS_S * 1000)) ] || { echo "BAD: hardly any hits"; exit 1; }
