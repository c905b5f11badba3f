#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# In the guest of tests/systemd/run. First boot: loaded at boot, reloaded after changes, kept when a change is bad, unloaded and
# loaded by hand, then a crash. Second boot: the dump is there, and the capture kernel is loaded again.
set -u
config=/etc/kdumpkit/kdumpkit.toml
record=/run/kdumpkit/loaded.json
release=$(uname -r)

say() { echo "units: $*" >/dev/console; }
end() {
	sync
	systemctl --no-block poweroff
	exit
}
fail() {
	say "FAILED: $*"
	{
		systemctl --no-pager --full status kdumpkit.service kdumpkit-reload.path kdumpkit-reload.service
		kdumpkit status
	} 2>&1 | sed 's/^/units: /' >/dev/console
	end
}

is_loaded() { [ "$(cat /sys/kernel/kexec_crash_loaded)" = 1 ]; }
within() { # SECONDS COMMAND...
	seconds=$1
	shift
	while ! "$@"; do
		[ "$seconds" -gt 0 ] || return 1
		seconds=$((seconds - 1))
		sleep 1
	done
}
is_new() { [ "$(cksum <$record)" != "$before" ]; }
# A record that is still the old one, or a reload that has not ended, is no reload.
reloads() { # WHAT COMMAND...
	what=$1
	before=$(cksum <$record)
	shift
	"$@"
	within 180 is_new || fail "no reload after a change of $what"
	within 60 is_loaded || fail "not loaded after a change of $what"
	say "reloaded after a change of $what"
}

[ "$(systemctl is-active kdumpkit.service kdumpkit-reload.path | sort -u)" = active ] || fail "the units are not active"
is_loaded || fail "nothing is loaded after boot"
kdumpkit status >/tmp/status
case $? in 0 | 3) ;; *) fail "status says that nothing is captured" ;; esac
# An image that was not loaded by the units' own load would have no record.
grep -q "ok  *loaded" /tmp/status || fail "status does not say what is loaded"
grep -q "ok  *target" /tmp/status || fail "status does not know the target"
say "loaded at boot"

if [ -e /var/lib/crashed ]; then
	for dump in /var/crash/*/vmcore; do
		[ -s "$dump" ] || fail "no dump"
		kdumpkit report "$dump" >/tmp/report || fail "the dump cannot be read"
		grep -q "sysrq triggered crash" /tmp/report || fail "the dump is of something else: $(head -n 5 /tmp/report)"
	done
	say "the crash was captured"
	say "all is well"
	end
fi

add_line() { echo "# changed" >>$config; }
touch_program() { cp /usr/lib/kdumpkit/kdumpkit-init /tmp/new && mv /tmp/new /usr/lib/kdumpkit/kdumpkit-init; }
reloads "the configuration" add_line
reloads "modules.dep" depmod "$release"
reloads "kdumpkit-init" touch_program

# A configuration with a mistake: what is loaded stays loaded, and the journal says why.
cp $config /tmp/good
before=$(cksum <$record)
echo 'no such key = 1' >>$config
has_failed() { journalctl --no-pager -u kdumpkit.service | grep -q "$config"; }
within 120 has_failed || fail "the journal does not name the bad configuration"
is_loaded || fail "a bad configuration unloads"
is_new && fail "a bad configuration loads something"
say "a bad configuration changes nothing, and the journal says why"
reloads "the configuration that was bad" cp /tmp/good $config

systemctl stop kdumpkit.service || fail "stop"
is_loaded && fail "still loaded after stop"
systemctl start kdumpkit.service || fail "start"
is_loaded || fail "not loaded after start"
say "stopped and started"

# QEMU's iTCO. The initramfs may have been built before udev loaded its driver; the next load makes up for that.
modprobe iTCO_wdt && [ -e /sys/class/watchdog/watchdog0 ] || fail "no watchdog in this guest"
kdumpkit load || fail "load"
grep -aq iTCO_wdt.ko "/var/lib/kdumpkit/$release/capture.initramfs" || fail "the watchdog's driver is not in the initramfs"
kdumpkit status | grep watchdog && fail "status misses a watchdog's driver"
say "the watchdog's driver is in the initramfs"

touch /var/lib/crashed
sync
say "crashing"
echo 1 >/proc/sys/kernel/sysrq
echo c >/proc/sysrq-trigger
