# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the guest: time of CALLS calls of an empty function, bare, with the C peer's probe on it, and with lkdtm's, in
# turn, ROUNDS times. The modules are loaded anew each time: how their addresses fall is part of what differs.
CALLS=${CALLS:-200000} ROUNDS=${ROUNDS:-3}
mount -t debugfs none /sys/kernel/debug 2>/dev/null
insmod /lkdtm_target.ko || exit 1
measure() { # NAME
	echo "$CALLS" >/sys/module/lkdtm_target/parameters/calls || exit 1
	echo "$1 $(cat /sys/module/lkdtm_target/parameters/calls)"
}
bare() { measure bare; }
peer() {
	insmod /lkdtm_peer.ko symbol=lkdtm_target || exit 1
	measure peer
	rmmod lkdtm_peer
}
lkdtm() {
	modprobe lkdtm cpoint_name=lkdtm_target cpoint_type=PANIC cpoint_count=2000000000 || exit 1
	measure lkdtm
	hits=$(sed -n 's/.* hits=\([0-9]*\) .*/\1/p' /sys/kernel/debug/provoke-crash/SYMBOL)
	[ "$hits" = "$CALLS" ] || { echo "BAD: $hits hits in $CALLS calls"; exit 1; }
	rmmod lkdtm
}
for round in $(seq "$ROUNDS"); do
	bare
	if [ $((round % 2)) = 0 ]; then peer; lkdtm; else lkdtm; peer; fi
done
[ "$(dmesg | grep -c "lkdtm_peer: hits=$CALLS\$")" = "$ROUNDS" ] || { echo "BAD: the peer missed hits"; exit 1; }
