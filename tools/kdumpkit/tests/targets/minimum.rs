// SPDX-License-Identifier: GPL-2.0-or-later
//! The smallest crashkernel= with which a dump reaches each kind of target, by trying, beside what one capture with plenty
//! measured. `make bench` runs it.

use super::guest::Bench;
use super::network::{DHCP, nfs_target, ssh_target, with_nic};
use super::server::{nfs, sshd};
use kdumpkit::config::Config;
use kdumpkit::estimate::need::Measured;
use kdumpkit::initramfs;
use kdumpkit::vm::End;
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// Enough for anything; here the memory is measured.
const PLENTY_MIB: u64 = 256;
/// Less than the kernel image takes.
const TOO_LITTLE_MIB: u64 = 48;
/// The search's step.
const STEP_MIB: u64 = 4;

/// One crash with this crashkernel=. Did the dump get there?
fn captures(bench: &Bench, image: &[u8], crashkernel_mib: u64) -> bool {
    let crashkernel = format!("{crashkernel_mib}M");
    let run = bench.crash_with(image, "echo c > /proc/sysrq-trigger", &crashkernel);
    let works = run.dumps().len() == 1 && run.end == End::Off;
    println!("crashkernel={crashkernel}: dump: {works}");
    works
}

/// Searches, and prints a line. `summary` finds kdumpkit-summary.json after the capture with plenty.
fn search(bench: &Bench, target: &str, config: &Config, summary: impl FnOnce(&Bench) -> String) {
    let built = initramfs::build(config, &bench.sources()).expect("the capture initramfs");
    let image = &built.image;
    assert!(
        captures(bench, image, PLENTY_MIB),
        "no dump with {PLENTY_MIB} MiB, see {}",
        bench.folder.display()
    );
    let summary: serde_json::Value = serde_json::from_str(&summary(bench)).expect("a summary");
    let measured = Measured::deserialize(&summary["memory"]).expect("what was measured");
    let need = measured.need();

    let (mut bad, mut good) = (TOO_LITTLE_MIB, PLENTY_MIB);
    while good - bad > STEP_MIB {
        let middle = (bad + (good - bad) / 2).next_multiple_of(STEP_MIB);
        if captures(bench, image, middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    println!(
        "{target}: smallest crashkernel= that works {good}M, measured need {} MiB (load {}, unpacking {}, dump {}), recommendation {}M, \
         initramfs {} bytes",
        need.measured_mib,
        need.load_mib,
        need.unpack_mib,
        need.capture_mib,
        need.crashkernel_mib,
        image.len()
    );
    assert!(
        need.crashkernel_mib >= good,
        "the recommendation is too small"
    );
}

/// The first summary below `folder`.
fn summary_below(folder: &Path) -> String {
    let entries = fs::read_dir(folder).expect("the server's folder");
    let mut paths: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        let summary = path.join("kdumpkit-summary.json");
        if let Ok(text) = fs::read_to_string(summary) {
            return text;
        }
    }
    panic!("no summary below {}", folder.display());
}

#[test]
#[ignore = "a benchmark of several minutes"]
fn bench_smallest_crashkernel_for_a_disk() {
    let mut bench = Bench::new("minimum-disk");
    bench.disk(1024, &["mke2fs", "-q", "-F", "-t", "ext4"]);
    let target = "[[target]]\ntype = \"filesystem\"\ndevice = \"/dev/vda\"\npath = \"crash\"\n";
    let config = bench.config(target, &["virtio_blk", "ext4"]);
    search(&bench, "disk", &config, |bench| {
        let command = "cat crash/kdumpkit-summary.json";
        bench.tool("debugfs", &[&bench.disks[0], "-R", command])
    });
    bench.done();
}

#[test]
#[ignore = "a benchmark of several minutes"]
fn bench_smallest_crashkernel_for_nfs() {
    let mut bench = Bench::new("minimum-nfs");
    with_nic(&mut bench);
    let server = nfs(&bench);
    let text = format!("{}{DHCP}", nfs_target(server.port));
    let config = bench.config(&text, &["virtio_net", "nfsv4"]);
    search(&bench, "NFS", &config, |bench| {
        summary_below(&bench.folder.join("export/var/crash"))
    });
    drop(server);
    bench.done();
}

#[test]
#[ignore = "a benchmark of several minutes"]
fn bench_smallest_crashkernel_for_ssh() {
    let mut bench = Bench::new("minimum-ssh");
    with_nic(&mut bench);
    let (server, key) = sshd(&bench);
    let text = format!("{}{DHCP}", ssh_target(&bench, server.port, &key));
    let config = bench.config(&text, &["virtio_net"]);
    search(&bench, "ssh", &config, |bench| {
        summary_below(&bench.folder.join("received"))
    });
    drop(server);
    bench.done();
}
