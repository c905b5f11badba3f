// SPDX-License-Identifier: GPL-2.0-or-later
//! Disks.

use super::guest::Bench;
use std::path::Path;

const LABEL: &str =
    "[[target]]\ntype = \"filesystem\"\ndevice = \"LABEL=crash\"\npath = \"dumps\"\n";

fn dump_over(fstype: &str, mib: u64, mkfs: &[&str]) {
    let mut bench = Bench::new(fstype);
    bench.disk(mib, mkfs);
    let config = bench.config(LABEL, &["virtio_blk", fstype]);
    let run = bench.crash(&config).ended();
    assert_eq!(run.dumps().len(), 1, "{:?}", run.events);
    let (dump, files) = bench.fetch(fstype);
    bench.judge(&dump.expect("a dump"));
    for name in [
        "vmcore-dmesg.txt",
        "dumps/kdumpkit-summary.json",
        "reset_devices.txt",
    ] {
        assert!(files.contains(name), "{name} is missing:\n{files}");
    }
    assert!(!files.contains("incomplete"), "{files}");
    bench.done();
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn ext4_by_label() {
    dump_over(
        "ext4",
        1024,
        &["mke2fs", "-q", "-F", "-t", "ext4", "-L", "crash"],
    );
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn xfs_by_label() {
    dump_over("xfs", 1024, &["mkfs.xfs", "-q", "-f", "-L", "crash"]);
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn btrfs_by_label() {
    dump_over("btrfs", 1024, &["mkfs.btrfs", "-q", "-f", "-L", "crash"]);
}

#[test]
#[ignore = "needs the build root, a prepared kernel, built modules and QEMU"]
fn raw_device() {
    let mut bench = Bench::new("raw");
    bench.disk(1024, &[]);
    let config = bench.config(
        "[[target]]\ntype = \"raw\"\ndevice = \"/dev/vda\"\n",
        &["virtio_blk"],
    );
    let run = bench.crash(&config).ended();
    assert_eq!(run.dumps(), ["/dev/vda"], "{:?}", run.events);
    let disk = bench.folder.join(&bench.disks[0]);
    bench.judge(Path::new(&disk));
    bench.done();
}
