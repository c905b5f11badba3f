#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A dracut module that dumps before the root is switched to, as Fedora's kdump-utils do it: the root's file system is mounted, and
# nothing of it is started.

check() {
	return 255 # only when asked for
}

depends() {
	echo bash
}

install() {
	inst_multiple makedumpfile date grep mkdir mkfifo mv reboot sync umount
	inst_simple "$moddir/sample.sh" /sample.sh
	inst_simple "$moddir/available.sh" /available.sh
	inst_hook cmdline 01 "$moddir/available.sh"
	inst_hook pre-pivot 99 "$moddir/dump.sh"
}
