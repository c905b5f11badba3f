# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the guest. Each part of the output starts with a line "@NAME".
S=/sys/kernel/mkdfinfo
part() { echo "@$1"; }
fails() { "$@" 2>&1 && echo "NO ERROR"; true; }
log() { busybox dmesg | busybox grep 'mkdfinfo: '; }
echo 1 >/proc/sys/kernel/kptr_restrict

part refused
fails busybox insmod /test/other-layout.ko
busybox ls /sys/kernel
log

part conflict
busybox insmod /test/conflict.ko
busybox cat $S/number/conflicts
busybox ls $S/number
log | busybox tail -n 2

part removed_while_open
exec 5<$S/symbol/prb 6<$S/mkdfinfo
busybox rmmod mkdfinfo
fails busybox cat <&5
fails busybox cat <&6
exec 5<&- 6<&-
busybox ls /sys/kernel

busybox insmod /test/mkdfinfo.ko
part build
busybox cat $S/mkdfinfo
part boot
busybox cat $S/mkdfinfo_boot
part script_build
busybox sh /test/mkdfinfo
part script_boot
busybox sh /test/mkdfinfo --boot
part btf_build
/init mkdfinfo --from btf
part btf_boot
/init mkdfinfo --from btf --boot
part sysfs
/init mkdfinfo
part note
/init mkdfinfo --from note --boot
part conflicts
busybox cat $S/number/conflicts
part modes
busybox find $S -type f -exec busybox stat -c '%a %n' {} +
part load
for i in 1 2 3 4 5; do
	busybox rmmod mkdfinfo
	busybox insmod /test/mkdfinfo.ko
done
log | busybox tail -n 5

part hidden
echo 2 >/proc/sys/kernel/kptr_restrict
fails busybox cat $S/symbol/prb
fails busybox cat $S/mkdfinfo
fails busybox cat $S/boot/kerneloffset
fails busybox sh /test/mkdfinfo /tmp/half
fails /init mkdfinfo
busybox ls /tmp
# Root, owner of the files, but of a user namespace: no CAP_SYSLOG. The second file was opened with it.
echo 1 >/proc/sys/kernel/kptr_restrict
part no_cap_syslog
fails busybox unshare -U -r busybox cat $S/symbol/prb
fails busybox unshare -U -r busybox cat <$S/mkdfinfo
busybox unshare -U -r busybox cat $S/offset/page.flags
echo 2 >/proc/sys/kernel/kptr_restrict
part still_shown
busybox cat $S/offset/page.flags $S/size/page

# The crash, once this script's output is on its way.
(
	busybox sleep 2
	echo c >/proc/sysrq-trigger
) >/dev/null 2>&1 &
