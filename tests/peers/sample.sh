#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In the capture kernel of a peer: writes down the memory it has, MemAvailable at the beginning and at the end of its initramfs, and
# the least that was seen since, all in KiB. The sync that follows the dump brings the file to the disk.
#
#   sample.sh [ROOT]      where the disk is mounted
#
# No program is started in the loop: one shell that mostly sleeps disturbs the least.
set -eu
region=0
while IFS=' :-' read -r first last what; do
	[ "$what" != 'System RAM' ] || region=$((region + (16#$last + 1 - 16#$first) / 1024))
done < <(grep -v '^ ' /proc/iomem)
{ read -r begin; read -r end; } </run/available
memory=${1:-}/var/lib/peers/memory
mkdir -p "${memory%/*}"
mkfifo /run/sample.fifo
# Opened for both, a FIFO that nobody writes to: read waits there until its time is over.
exec 3<>/run/sample.fifo
least=
while :; do
	{ read -r _; read -r _; read -r _ now _; } </proc/meminfo
	if [ -z "$least" ] || [ "$now" -lt "$least" ]; then
		least=$now
		echo "$region $begin $end $least" >"$memory"
	fi
	read -r -t 0.05 -u 3 || true
done
