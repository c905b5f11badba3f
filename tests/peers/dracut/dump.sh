#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The dump, with kdump-utils' default core_collector.
/available.sh
/sample.sh /sysroot &
dir=/sysroot/var/crash/$(date +%Y-%m-%d-%H:%M:%S)
mkdir -p "$dir"
echo "running makedumpfile --dump-dmesg" >/dev/console
makedumpfile --dump-dmesg /proc/vmcore "$dir/vmcore-dmesg.txt" >/dev/console 2>&1
sync
if makedumpfile -l --message-level 7 -d 31 /proc/vmcore "$dir/vmcore-incomplete" >/dev/console 2>&1; then
	sync
	mv "$dir/vmcore-incomplete" "$dir/vmcore"
	sync
	echo "saved vmcore in $dir" >/dev/console
fi
umount /sysroot 2>/dev/null || sync
reboot -f
