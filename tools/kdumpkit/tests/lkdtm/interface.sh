# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the guest, behind lib.sh: lkdtm's parameters, errors and debugfs files, and that nothing is left behind.
EINVAL="Invalid argument"
ENOENT="nknown symbol" # what modprobe makes of it
refuses "$EINVAL" cpoint_name=NOSUCH cpoint_type=PANIC
ok unknown_point_lists_all '"NOSUCH"' DIRECT INT_HARDWARE_ENTRY TIMERADD BLK_START_RQ
refuses "$EINVAL" cpoint_name=DIRECT cpoint_type=NOSUCH
ok unknown_type_lists_all '"NOSUCH"' PANIC EXCEPTION OVERFLOW CORRUPT_LIST_DEL
refuses "$EINVAL" cpoint_name=TIMERADD
ok name_without_type "cpoint_name= without cpoint_type="
refuses "$EINVAL" cpoint_type=PANIC
ok type_without_name "cpoint_type= without cpoint_name="
for count in 0 -1 x 99999999999; do
	refuses "$EINVAL" cpoint_name=TIMERADD cpoint_type=PANIC cpoint_count=$count
	ok "count_$count" "cpoint_count=$count: give a number from 1"
done
refuses "$EINVAL" cpoint_name=TIMERADD cpoint_type=PANIC recur_count=0
ok recur_0 "recur_count=0: give a number from 1"
refuses "$EINVAL" cpoint_name=exc_page_fault cpoint_type=PANIC
ok unprobeable "cannot probe this place"
refuses "$EINVAL" cpoint_name=vfs_write+1 cpoint_type=PANIC
ok inside_instruction "no instruction starts"
refuses "$EINVAL" cpoint_name=TIMERADD cpoint_type=HUNG_TASK
ok direct_only "use it with point DIRECT"
refuses "$EINVAL" cpoint_name=TIMERADD cpoint_type=PANIC cpoint_lock=bkl
ok bad_lock "lock=bkl: give none, spinlock"

loads cpoint_name=hrtimer_start cpoint_type=PANIC cpoint_count=100000000
ok alias_armed "crash point TIMERADD armed: symbol=hrtimer_start_range_ns type=PANIC count=100000000"
ok no_capture_kernel "no capture kernel is loaded"
log=$(cat $D/TIMERADD)
ok read_back "Available crash types:" "point=TIMERADD symbol=hrtimer_start_range_ns type=PANIC" "fired=no"
rmmod lkdtm

loads
write TIMERADD "BUG count=100000000"
ok harmless_in_a_task "panic_on_oops"
write INT_TIMER_ENTRY "BUG count=100000000"
case "$log" in *panic_on_oops*) echo "BAD: warns about an interrupt"; bad=1 ;; esac
write INT_TIMER_ENTRY NONE
write SYMBOL "vfs_write NONE comm=tail count=7"
write SYMBOL "vfs_read NONE cpu=1"
write SYMBOL "vfs_read NONE pid=1"
for i in 1 2 3; do echo x | tail >/dev/null; done
log=$(cat $D/*)
ok several_at_once "point=TIMERADD" "point=INT_TIMER_ENTRY" "point=vfs_write" "point=vfs_read"
log=$(grep point=vfs_write $D/SYMBOL)
ok comm_counts_only_its_task "hits=3 left=0"
for text in "PANIC x" "PANIC count=0" "PANIC speed=1" "" "NOSUCH" "PANIC context=moon"; do
	write TIMERADD "$text"
	[ $status != 0 ] || { echo "BAD: '$text' was accepted"; bad=1; }
done
log=$(cat $D/TIMERADD)
ok a_bad_write_changes_nothing "type=BUG"
# A handler of NMIs is found by its name: two of the same, one freed, would leave the other's memory in the kernel's list.
write INT_TIMER_ENTRY "PANIC_IN_NMI count=100000000"
write SYMBOL "vfs_write PANIC context=nmi count=100000000"
write INT_TIMER_ENTRY none
write SYMBOL none
write INT_TIMER_ENTRY NONE
for file in TIMERADD INT_TIMER_ENTRY SYMBOL; do
	write $file none
	log=$(cat $D/$file)
	ok "disarmed_$file" "Armed: none"
done
# Fires once, and a warning does not kill: the point is spent then.
write SYMBOL "vfs_write WARNING comm=tail count=2"
for i in 1 2 3; do echo x | tail >/dev/null; done
fired=$(dmesg | grep -c "fires: symbol=vfs_write type=WARNING")
[ "$fired" = 1 ] && echo "ok fires_once" || { echo "BAD fires_once: $fired times"; bad=1; }
log=$(cat $D/SYMBOL)
ok spent "hits=3 left=0" "fired=yes"
rmmod lkdtm
dmesg -c >/dev/null

# Memory: 100 times armed and unarmed, after a few that fill caches. One leaked page each would be seen.
used() { awk '/^(Slab|VmallocUsed|Percpu|KernelStack|PageTables):/ { n += $2 } END { print n }' /proc/meminfo; }
cycle() { modprobe lkdtm cpoint_name=TIMERADD cpoint_type=PANIC_IN_NMI cpoint_count=1000000000 && rmmod lkdtm; }
fail() { modprobe lkdtm cpoint_name=vfs_write+1 cpoint_type=PANIC 2>/dev/null; }
for i in $(seq 20); do cycle; fail; done
sleep 1; before=$(used)
for i in $(seq 100); do cycle || { echo "BAD cycle $i"; bad=1; }; fail; done
sleep 1; after=$(used)
[ $((after - before)) -lt 400 ] && echo "ok no_leak: $((after - before)) KiB in 200 loads" || {
	echo "BAD: 200 loads took $((after - before)) KiB"; bad=1; }
clean
exit $bad
