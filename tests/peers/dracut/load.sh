#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Loads the kernel that runs with dracut's initramfs, with what kdump-utils add to the command line.
release=$(uname -r)
exec kexec -p -s "/boot/vmlinuz-$release" --initrd="/boot/capture-$release.img" \
	--append="$(sed 's/crashkernel=[^ ]*//' /proc/cmdline) nr_cpus=1 irqpoll reset_devices usbcore.nousb"
