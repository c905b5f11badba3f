#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# First act of the system initramfs: load the capture kernel. Whatever comes of it is in the kernel log; the boot goes on.

[ ! -x /usr/lib/kdumpkit/early/kdumpkit ] || /usr/lib/kdumpkit/early/kdumpkit early load || :
