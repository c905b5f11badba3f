// SPDX-License-Identifier: GPL-2.0-or-later
//! Events that a port reports while what is behind it is being reset: errors are taken for traces of the reset, a button
//! is not. QEMU raises none by itself at a reset, as real ports do, so they are injected through its monitor. (It has no
//! Downstream Port Containment, nor a link that goes down.)

use crate::guest::{Bench, Guest, Said};
use anyhow::{Context, Result, ensure};
use kdumpkit::vm::human;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The guest asks for an event by this word on its console; what follows is for QEMU's human monitor.
const ASK: &str = "please: ";

/// Two root ports whose hotplug is the kernel's own (pciehp), an NVMe controller behind each. The second will be silent, with
/// its link up: it keeps the module waiting, and all shields up, for its whole deadline.
const QEMU: [&str; 10] = [
    "-global",
    "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
    "-device",
    "pcie-root-port,id=rp1,bus=pcie.0,addr=10.0,chassis=1,x-speed=5",
    "-device",
    "nvme,bus=rp1,serial=one,id=disk1",
    "-device",
    "pcie-root-port,id=rp2,bus=pcie.0,addr=11.0,chassis=2,x-speed=5",
    "-device",
    "nvme,bus=rp2,serial=two",
];

/// The port's configuration space is read where it is mapped (ECAM): in sysfs it waits for the module, which holds the port.
/// PCI Express capability: Slot Control 0x18, Slot Status 0x1a. AER: Uncorrectable Error Status 0x4, Root Error Command 0x2c,
/// Status 0x30.
const FUNCTIONS: &str = r#"
ECAM=0x$(b sed -n 's/^ *\([0-9a-f]*\)-.*PCI ECAM 0000.*/\1/p' /proc/iomem | b head -n 1)
raw() { b devmem $((ECAM + 0x80000 + $1)) $((8 * $2)); }
EXP=$(($(raw 52 1)))
[ $(($(raw 256 4) & 0xffff)) = 1 ] || { echo "no AER at 0x100"; exit 1; }
begin() {
	b dmesg -c >/dev/null
	slot_off 0000:00:11.0 || exit 1
	modprobe reset_devices force=1 ready_timeout_ms=8000 &
	for i in $(b seq 200); do [ $(($(raw 300 4))) = 0 ] && break; b usleep 50000; done
	echo "shielded root command $(raw 300 4) slot control $(raw $((EXP + 24)) 2)"
}
ask() { echo "please: $1" >/dev/console; }
# arrived STATUS-OFFSET BYTES MASK: waits for the event's trace, while the shield is up
arrived() {
	for i in $(b seq 100); do [ $(($(raw $1 $2) & $3)) != 0 ] && break; b usleep 50000; done
	[ -e /sys/kernel/reset_devices ] && echo 'late: the module is done already'
	echo "arrived $(raw $1 $2)"
}
end() {
	wait
	b sleep 2
	results
	b dmesg | b sed -n 's/.*\(AER: .*received\).*/aer \1/p; s/.*pciehp: \(.*\)/pciehp \1/p'
	echo "root command $(raw 300 4)"
}
"#;

/// Does what the guest asks for, until the guest is judged.
fn serve(folder: &Path, done: &AtomicBool) -> Result<()> {
    let mut served = 0;
    while !done.load(Ordering::Relaxed) {
        let console = fs::read(folder.join("console.log")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let asked: Vec<_> = console
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .filter_map(|line| line.split_once(ASK))
            .collect();
        for (_, command) in asked.iter().skip(served) {
            let said = human(folder, command.trim())?;
            println!("{}: {said}", command.trim());
        }
        served = asked.len();
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn run(name: &str, script: &str, judge: impl FnOnce(&Said) -> Result<()>) -> Result<()> {
    let bench = Bench::new(name)?;
    let guest = Guest {
        qemu: QEMU.map(String::from).to_vec(),
        script: format!("{FUNCTIONS}\n{script}"),
        ..Guest::default()
    };
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let monitor = scope.spawn(|| serve(bench.folder(), &done));
        let result = bench.run(&guest, |said| {
            println!("{}", said.text);
            ensure!(
                said.one("device 0000:01:00.0")?.starts_with("hot reset "),
                "the device was not reset"
            );
            judge(said)
        });
        done.store(true, Ordering::Relaxed);
        monitor.join().ok().context("the monitor panicked")??;
        result
    })
}

fn hex(said: &Said, words: &str) -> Result<u32> {
    crate::topology::hex(said.one(words)?)
}

#[test]
#[ignore = "boots a guest: make check does it"]
fn error_when_the_device_is_held_in_reset_is_not_reported() -> Result<()> {
    // The same error twice: while the shield is up, and after it.
    let script = "begin\nask 'pcie_aer_inject_error rp1 SDN'\narrived 260 4 0xffffffff\nend\n\
                  echo \"left $(raw 260 4)\"\nb dmesg -c >/dev/null\n\
                  ask 'pcie_aer_inject_error rp1 SDN'\nb sleep 3\n\
                  b dmesg | b sed -n 's/.*\\(AER: .*received\\).*/afterwards \\1/p'\n";
    run("aer", script, |said| {
        ensure!(!said.text.contains("late:"), "the error came too late");
        let arrived = hex(said, "arrived")?;
        ensure!(arrived & 0x20 != 0, "no surprise-down error: {arrived:#x}");
        let reported: Vec<_> = said.all("aer").collect();
        ensure!(reported.is_empty(), "reported: {reported:?}");
        ensure!(hex(said, "left")? == 0, "a trace is left");
        ensure!(hex(said, "root command")? & 7 == 7, "AER stays masked");
        let afterwards = said.all("afterwards").count();
        ensure!(afterwards > 0, "AER reports nothing any more");
        Ok(())
    })
}

#[test]
#[ignore = "boots a guest: make check does it"]
fn removal_request_when_the_device_is_held_in_reset_is_served_afterwards() -> Result<()> {
    let script = "begin\nask 'device_del disk1'\narrived $((EXP + 26)) 2 1\nend\n\
                  for i in $(b seq 20); do [ -e $P/0000:01:00.0 ] || break; b sleep 1; done\n\
                  [ -e $P/0000:01:00.0 ] && echo 'still there'\n\
                  b dmesg | b sed -n 's/.*pciehp: \\(.*\\)/afterwards \\1/p'\n";
    run("removal", script, |said| {
        ensure!(!said.text.contains("late:"), "the request came too late");
        ensure!(hex(said, "arrived")? & 1 == 1, "the button was not pressed");
        for bad in ["Link Down", "Card not present"] {
            ensure!(!said.text.contains(bad), "taken for a surprise removal");
        }
        ensure!(!said.text.contains("still there"), "the request is lost");
        Ok(())
    })
}
