// SPDX-License-Identifier: GPL-2.0-or-later
//! A whole dump through each kind of device that was reset first: disks with a file system, networks with TCP.

use crate::guest::{Bench, Guest, Said};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use vmcore::Dump;

/// What a distribution keeps: no zero, cache, user or free pages.
const FILTER: &str = "/init filter -d 31 /proc/vmcore";
const DISK: &str = "dump.img";

/// The dump must hold the log of the kernel that crashed, to its last line.
fn check_dump(path: &Path) -> Result<()> {
    let dump = Dump::open(path).with_context(|| format!("opening {}", path.display()))?;
    ensure!(!dump.is_incomplete(), "the dump is incomplete");
    let log = dump.dmesg()?;
    ensure!(
        log.contains("Kernel panic - not syncing: sysrq triggered crash"),
        "the dump's log does not end with the crash:\n{log}"
    );
    println!(
        "{} bytes of dump, {} bytes of log",
        fs::metadata(path)?.len(),
        log.len()
    );
    Ok(())
}

fn was_reset(said: &Said, address: &str, how: &str) -> Result<()> {
    let line = said.one(&format!("device {address}"))?;
    ensure!(line.starts_with(how), "{address}: {line}, expected {how}");
    Ok(())
}

/// Dump to a file system on `node`, which `driver` makes of the device at `address`.
fn to_disk(
    name: &str,
    qemu: &[&str],
    modules: &[&'static str],
    node: &str,
    reset: (&str, &str),
) -> Result<()> {
    let bench = Bench::new(name)?;
    File::create(bench.folder().join(DISK))?.set_len(1 << 30)?;
    bench.run_tool("mke2fs", &["-q", "-F", "-t", "ext4", DISK])?;
    let load: String = modules
        .iter()
        .map(|m| format!("modprobe {m} || exit 1\n"))
        .collect();
    let drive = format!("if=none,id=disk1,file={DISK},format=raw,cache=unsafe");
    let mut arguments = vec!["-drive".to_owned(), drive];
    arguments.extend(qemu.iter().map(|a| (*a).to_owned()));
    let guest = Guest {
        modules: [modules, &["ext4"]].concat(),
        qemu: arguments,
        // The crash comes while the disk is being read.
        script: format!(
            "{load}modprobe ext4\nb sleep 2\n(while :; do b dd if={node} of=/dev/null bs=1M 2>/dev/null; done) &\nb sleep 1\n"
        ),
        capture: Some(format!(
            "modprobe reset_devices || exit 1\nresults\n{load}modprobe ext4 || exit 1\n\
             for i in 1 2 3 4 5 6 7 8 9 10; do [ -b {node} ] && break; b sleep 1; done\n\
             b mount -t ext4 {node} /mnt || exit 1\n{FILTER} /mnt/vmcore || exit 1\nb umount /mnt || exit 1\n"
        )),
        ..Guest::default()
    };
    bench.run(&guest, |said| {
        let (address, how) = reset;
        was_reset(said, address, how)?;
        bench.run_tool("debugfs", &["-R", "dump vmcore vmcore", DISK])?;
        check_dump(&bench.folder().join("vmcore"))
    })
}

#[test]
#[ignore = "boots a guest: make check does it"]
fn dump_when_nvme_was_hot_reset_is_whole() -> Result<()> {
    let port = "pcie-root-port,id=rp1,bus=pcie.0,addr=10.0,chassis=1";
    let qemu = [
        "-device",
        port,
        "-device",
        "nvme,bus=rp1,serial=one,drive=disk1",
    ];
    to_disk(
        "dump-nvme",
        &qemu,
        &["nvme"],
        "/dev/nvme0n1",
        ("0000:01:00.0", "hot reset "),
    )
}

#[test]
#[ignore = "boots a guest: make check does it"]
fn dump_when_ahci_was_stopped_is_whole() -> Result<()> {
    let qemu = ["-device", "ide-hd,bus=ide.0,drive=disk1"];
    to_disk(
        "dump-ahci",
        &qemu,
        &["ahci", "sd_mod"],
        "/dev/sda",
        ("0000:00:1f.2", "busmaster stopped "),
    )
}

/// Dump over TCP, through a card behind a root port. Another device is dead, and the dump still happens.
fn to_network(name: &str, card: &'static str) -> Result<()> {
    let bench = Bench::new(name)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let path = bench.folder().join("vmcore");
    let mut file = File::create(&path)?;
    // Ends with the connection, or with the test.
    let receiver = thread::spawn(move || -> io::Result<u64> {
        io::copy(&mut listener.accept()?.0, &mut file)
    });
    let device = format!("{card},bus=rp1,netdev=net1");
    let qemu = [
        "-device",
        "pcie-root-port,id=rp1,bus=pcie.0,addr=10.0,chassis=1",
        "-netdev",
        "user,id=net1",
        "-device",
        &device,
        "-device",
        "pcie-root-port,id=rp2,bus=pcie.0,addr=11.0,chassis=2",
        "-device",
        "nvme,bus=rp2,serial=dead",
    ];
    let guest = Guest {
        modules: vec![card],
        qemu: qemu.map(String::from).to_vec(),
        script: format!("modprobe {card} || exit 1\nb sleep 1\nlinks_up || exit 1\n"),
        capture: Some(format!(
            "slot_off 0000:00:11.0 || exit 1\nmodprobe reset_devices ready_timeout_ms=2000 || exit 1\nresults\n\
             modprobe {card} || exit 1\nprobe 0000:01:00.0\nlinks_up || exit 1\n\
             b ifconfig eth0 10.0.2.15 || exit 1\n\
             {FILTER} /tmp/vmcore || exit 1\nb nc 10.0.2.2 {port} </tmp/vmcore || exit 1\n"
        )),
        ..Guest::default()
    };
    bench.run(&guest, |said| {
        was_reset(said, "0000:01:00.0", "hot reset ")?;
        was_reset(said, "0000:02:00.0", "hot silent ")?;
        receiver.join().ok().context("the receiver panicked")??;
        check_dump(&path)
    })
}

#[test]
#[ignore = "boots a guest: make check does it"]
fn dump_when_e1000e_was_hot_reset_is_whole() -> Result<()> {
    to_network("dump-e1000e", "e1000e")
}

#[test]
#[ignore = "boots a guest: make check does it"]
fn dump_when_igb_was_hot_reset_is_whole() -> Result<()> {
    to_network("dump-igb", "igb")
}
