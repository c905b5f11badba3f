# Memory of every kind, then a snapshot of /proc/kpageflags and the crash. $LOAD_MIB comes from the test.
b() { busybox "$@"; }
set -e
for module in $MODULES; do modprobe "$module"; done
b mkdir -p /tmp /mnt
b mount -t tmpfs tmpfs /tmp
b mount -t ext4 /dev/vdb /mnt
echo always >/sys/kernel/mm/transparent_hugepage/enabled
echo $((LOAD_MIB / 10)) >/proc/sys/vm/nr_hugepages
echo "@mkdfinfo"
b cat /sys/kernel/mkdfinfo/mkdfinfo
echo "@load"
# Free memory that was used: its contents stay, and its struct pages keep stale words.
b dd if=/dev/zero of=/tmp/gone bs=1M count=$((LOAD_MIB / 4)) 2>/dev/null
b rm /tmp/gone
/test/guest_load hold "$LOAD_MIB" >/tmp/ready 2>&1 &
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
	b grep -q . /tmp/ready && break
	b sleep 2
done
b cat /tmp/ready
b grep -q ready /tmp/ready
b find /sys /proc/sys -type f >/dev/null
b free -m
/init filter --mem-usage /proc/kcore
b grep -E 'HugePages_Total|AnonHuge|Slab|PageTables|Shmem:' /proc/meminfo
# The script's output must have gone out before.
(b sleep 3; /test/guest_load crash /dev/vdc) </dev/null >/dev/kmsg 2>&1 &
