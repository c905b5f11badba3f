#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# dracut module: the capture kernel into the system initramfs, with the modules that both share.
# Installed in /usr/lib/dracut/modules.d/98kdumpkit; does nothing unless [load.early] enabled = true.

check() {
	require_binaries kdumpkit || return 1
	kdumpkit early pack
}

depends() {
	return 0
}

installkernel() {
	local early=$initdir/usr/lib/kdumpkit/early
	# A failure must not keep a machine from getting its initramfs.
	if ! kdumpkit early pack --release "$kernel" --output "$early"; then
		dwarn "kdumpkit: a crash while this initramfs runs will not be captured"
		rm -rf -- "$early"
		return 0
	fi
	# shellcheck disable=SC2046
	hostonly='' instmods $(<"$early/modules") efivarfs
}

install() {
	inst_hook cmdline 00 "$moddir/kdumpkit-early.sh"
}
