# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the guest: the kernel's own selftest of LKDTM, unmodified, on our module. A line "TEST status words" for each.
mount -t debugfs none /sys/kernel/debug 2>/dev/null
mkdir -p /tmp
export PATH=/usr/bin:/bin
modprobe lkdtm || exit 1
cd /selftest || exit 1
for line in $(sed 's/ .*//; s/^#//' tests.txt); do
	ln -sf run.sh "$line.sh"
	case " $EXCEPT " in *" $line "*) echo "RESULT $line except"; continue ;; esac
	words=$(sh "./$line.sh" 2>&1)
	echo "RESULT $line $? $(echo "$words" | tail -n 1)"
done
