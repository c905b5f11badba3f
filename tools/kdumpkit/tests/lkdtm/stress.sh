# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the guest: eight points armed under load while others are armed, disarmed and unloaded, for at least STRESS_S seconds
# and STRESS_HITS hits.
D=/sys/kernel/debug/provoke-crash
mount -t debugfs none /sys/kernel/debug 2>/dev/null
modprobe brd rd_nr=1 || exit 1
value() { sed -n "s/^Armed: .* $2=\([^ ]*\).*/\1/p" "$D/$1"; }

# Exact with hits on all CPUs at once: what is delivered is counted, and one hit fires.
modprobe lkdtm || exit 1
echo "vfs_read WARNING comm=dd count=70000" >$D/SYMBOL || exit 1
for i in 1 2; do dd if=/dev/zero of=/dev/null bs=1 count=50000 2>/dev/null & done
wait
hits=$(value SYMBOL hits) missed=$(value SYMBOL missed)
echo "hits=$hits missed=$missed of 100000 reads"
[ "$hits" -le 100008 ] && [ $((hits + missed)) -ge 100000 ] || { echo "BAD: not exact"; exit 1; }
fired=$(dmesg | grep -c "fires: symbol=vfs_read type=WARNING")
[ "$fired" = 1 ] || { echo "BAD: fired $fired times"; exit 1; }
rmmod lkdtm || exit 1
dmesg -c >/dev/null

pids=
for i in 1 2; do
	dd if=/dev/zero of=/dev/null bs=1 2>/dev/null & pids="$pids $!"
done
while :; do sleep 0.01; done & pids="$pids $!"
while :; do dd if=/dev/ram0 of=/dev/null bs=4096 count=64 iflag=direct 2>/dev/null; echo . >/dev/ttyS0; sleep 0.05; done & pids="$pids $!"
points="TIMERADD INT_TIMER_ENTRY INT_SOFTIRQ_ENTRY INT_SOFTIRQ_EN INT_HW_IRQ_EN FS_DEVRW"
total=0; loads=0; quiet="$points"; end=$(($(date +%s) + STRESS_S))
while [ "$(date +%s)" -lt $end ] || [ $total -lt "$STRESS_HITS" ]; do
	modprobe lkdtm || exit 1
	loads=$((loads + 1))
	for p in $points; do echo "PANIC count=2000000000" >$D/$p || exit 1; done
	for s in vfs_read vfs_write; do echo "$s PANIC count=2000000000" >$D/SYMBOL || exit 1; done
	# Arm again and disarm under the storm, with a module that comes and goes.
	echo "PANIC count=1000000" >$D/SCSI_QUEUE_RQ || exit 1
	for n in 1 2 3 4 5 6 7 8; do
		echo "ksys_read NONE comm=dd" >$D/SYMBOL
		echo "PANIC_IN_NMI count=1900000000" >$D/TIMERADD
		echo none >$D/INT_TIMER_ENTRY
		echo "PANIC_IN_NMI count=1900000000" >$D/INT_TIMER_ENTRY
		modprobe scsi_mod && rmmod scsi_mod || exit 1
	done
	sleep 3
	hits=$(cat $D/* | tr ' ' '\n' | awk -F= '/^hits=/ { n += $2 } END { print n + 0 }')
	total=$((total + hits))
	left=
	for p in $quiet; do [ "$(value "$p" hits)" != 0 ] || left="$left $p"; done
	quiet=$left
	# Unload with everything armed and being hit.
	rmmod lkdtm || exit 1
done
kill $pids
echo "hits=$total loads=$loads seconds=$(($(date +%s) - end + STRESS_S))"
[ -z "$quiet" ] || { echo "BAD: never hit: $quiet"; exit 1; }
if dmesg | grep -E "WARNING|BUG|Oops|Call Trace|fires"; then echo "BAD: the log is not clean"; exit 1; fi
