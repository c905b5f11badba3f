#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# In a peer's initramfs, at its beginning and at its end: MemAvailable, a line each. /run goes on into the root.
case "${1:-}" in prereqs) exit 0 ;; esac
while read -r name kib _; do
	[ "$name" != MemAvailable: ] || echo "$kib" >>/run/available
done </proc/meminfo
