// SPDX-License-Identifier: GPL-2.0-or-later
//! The same stock image runs, and captures, wherever crashkernel= puts it.

use crate::guest::{Bench, Guest, line};
use anyhow::{Context, Result, ensure};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Loads, crashes, writes a filtered dump in the capture kernel, and says where that kernel ran.
fn capture_at(
    name: &str,
    crashkernel: &str,
    memory_mib: u32,
    expected: std::ops::Range<u64>,
) -> Result<()> {
    let bench = Bench::new(name)?;
    let guest = Guest {
        // KASLR could put the kernel where crashkernel= wants to be.
        cmdline: &format!("crashkernel={crashkernel} nokaslr sysrq_always_enabled"),
        memory_mib,
        script: "kdumpkit load --initramfs /capture.initramfs && echo c >/proc/sysrq-trigger".into(),
        capture: "b grep -e 'Kernel code' -e 'System RAM' /proc/iomem
            kdumpkit filter -l -d 31 /proc/vmcore /tmp/vmcore && kdumpkit filter --dump-dmesg /tmp/vmcore /tmp/log &&
            b grep 'sysrq: Trigger a crash' /tmp/log && b ls -l /tmp/vmcore"
            .into(),
        ..Guest::default()
    };
    let said = bench.run(&guest)?;
    let code = said
        .lines()
        .find(|l| l.ends_with("Kernel code"))
        .with_context(|| said.clone())?;
    let start = u64::from_str_radix(code.trim().split('-').next().unwrap_or(""), 16)?;
    println!("crashkernel={crashkernel}: the capture kernel runs at {start:#x}");
    ensure!(
        expected.contains(&start),
        "crashkernel={crashkernel}: runs at {start:#x}, not in {expected:#x?}"
    );
    ensure!(
        said.contains("Trigger a crash"),
        "no crash in the dump's log:\n{said}"
    );
    line(&said, "-rw")?;
    bench.done()
}

#[test]
#[ignore = "needs QEMU and the build root"]
fn capture_when_at_a_fixed_address_runs_there() -> Result<()> {
    capture_at("fixed", "192M@256M", 1024, 256 * MIB..448 * MIB)
}

#[test]
#[ignore = "needs QEMU and the build root"]
fn capture_when_at_a_fixed_address_above_4_gib_runs_there() -> Result<()> {
    capture_at("fixed-high", "192M@5G", 4096, 5 * GIB..5 * GIB + 192 * MIB)
}

#[test]
#[ignore = "needs QEMU and the build root"]
fn capture_when_reserved_high_runs_above_4_gib() -> Result<()> {
    capture_at("high", "192M,high", 4096, 4 * GIB..6 * GIB)
}

#[test]
#[ignore = "needs QEMU and the build root"]
fn capture_when_the_kernel_chooses_runs_below_4_gib() -> Result<()> {
    capture_at("low", "192M", 1024, 448 * MIB..GIB)
}
