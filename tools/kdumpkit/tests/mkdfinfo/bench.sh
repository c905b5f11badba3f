# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the guest: what it costs to get the file. Prints the microseconds of 50 rounds each, under "@NAME": of the whole
# command, and of finit_module(2) in it, which is what loading is when it is not a program that starts for it.
rounds="1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25
	26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50"
read_clock() {
	now=$EPOCHREALTIME
	now=${now%.*}${now#*.}
}
measure() { # NAME COMMAND [AFTERWARDS, not measured]
	echo "@$1"
	for i in $rounds; do
		read_clock
		start=$now
		eval "$2"
		read_clock
		echo $((now - start))
		eval "${3:-}"
	done
}

busybox insmod /test/mkdfinfo.ko
busybox cat /sys/kernel/mkdfinfo/mkdfinfo >/dev/null
measure read 'busybox cat /sys/kernel/mkdfinfo/mkdfinfo >/dev/null'
busybox rmmod mkdfinfo
tracing=/sys/kernel/tracing
busybox mount -t tracefs none $tracing
for side in enter exit; do
	echo 1 >$tracing/events/syscalls/sys_${side}_finit_module/enable
done
# Unloading waits for grace periods; it is not part of what a load costs.
measure load 'busybox insmod /test/mkdfinfo.ko' 'busybox rmmod mkdfinfo'
echo @finit_module
busybox awk '
	/sys_finit_module/ {
		match($0, /[0-9]+\.[0-9]+: /)
		now = substr($0, RSTART, RLENGTH - 2) * 1000000
		if ($0 ~ /-> 0x0/)
			printf "%.0f\n", now - start
		start = now
	}' $tracing/trace
echo 0 >$tracing/events/syscalls/enable
measure process 'busybox true'
