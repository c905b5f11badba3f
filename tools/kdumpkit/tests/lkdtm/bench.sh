# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the guest: time of a million reads of one byte, bare, with the C peer's probe on vfs_read, and with lkdtm's.
N=1000000
mount -t debugfs none /sys/kernel/debug 2>/dev/null
now() { awk '{ printf "%d\n", $1 * 100 }' /proc/uptime; }
measure() { # NAME
	start=$(now)
	dd if=/dev/zero of=/dev/null bs=1 count=$N 2>/dev/null
	echo "$1 $(($(now) - start))"
}
for round in 1 2 3 4 5 6 7; do
	measure bare
	insmod /lkdtm_peer.ko || exit 1
	measure peer
	rmmod lkdtm_peer
	modprobe lkdtm cpoint_name=vfs_read cpoint_type=PANIC cpoint_count=2000000000 || exit 1
	measure lkdtm
	hits=$(sed -n 's/.* hits=\([0-9]*\) .*/\1/p' /sys/kernel/debug/provoke-crash/SYMBOL)
	[ "$hits" -ge $N ] || { echo "BAD: $hits hits"; exit 1; }
	rmmod lkdtm
done
dmesg | grep -o "lkdtm_peer: hits=.*" | tail -n 1
