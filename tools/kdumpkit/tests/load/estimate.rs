// SPDX-License-Identifier: GPL-2.0-or-later
//! What `kdumpkit estimate` says from one capture is enough for the next.

use crate::guest::{Bench, kdumpkit, write_capture_initramfs, write_script_initramfs};
use anyhow::{Context, Result, ensure};
use kdumpkit::vm::End;
use std::fs::File;
use std::process::Command;
use std::time::Duration;

/// Enough for anything; here the memory is measured.
const PLENTY_MIB: u32 = 256;

/// One crash with this crashkernel=. Is the dump on the disk?
fn captures(bench: &Bench, crashkernel_mib: u32) -> Result<bool> {
    File::create(bench.folder.join("dump.img"))?.set_len(512 << 20)?;
    bench.run_tool("mke2fs", &["-q", "-F", "-t", "ext4", "dump.img"])?;
    let mut machine = bench
        .lab
        .machine(bench.folder.join("guest.initramfs"), &bench.folder);
    machine.cmdline = format!("crashkernel={crashkernel_mib}M sysrq_always_enabled");
    machine.disks = vec!["dump.img".into()];
    machine.deadline = Duration::from_secs(400);
    machine.silence = Duration::from_secs(150);
    let heard = machine.listen()?;
    let works = heard.dump().is_some() && heard.end == End::Off;
    println!(
        "crashkernel={crashkernel_mib}M: {}",
        if works { "dump" } else { "no dump" }
    );
    Ok(works)
}

fn build(bench: &Bench) -> Result<()> {
    let capture = bench.folder.join("capture.initramfs");
    write_capture_initramfs(bench, &capture, "crash")?;
    let files = vec![bench.boot_image(), ("capture.initramfs".into(), capture)];
    let script =
        "kdumpkit load --initramfs /capture.initramfs && echo c >/proc/sysrq-trigger; exit 1";
    let guest = bench.folder.join("guest.initramfs");
    write_script_initramfs(bench, &guest, &[], script, files)
}

/// `crashkernel_mib` and `measured_mib` of what the capture left on the disk.
fn estimate(bench: &Bench) -> Result<(u32, u32)> {
    let name = "kdumpkit-summary.json";
    bench.run_tool(
        "debugfs",
        &["dump.img", "-R", &format!("dump crash/{name} {name}")],
    )?;
    let output = Command::new(kdumpkit())
        .args(["estimate", "--json", "--summary"])
        .arg(bench.folder.join(name))
        .arg("--state")
        .arg(&bench.folder)
        .output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kdumpkit estimate: {words}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let mib = |name: &str| -> Result<u32> {
        let value = report["need"][name]
            .as_u64()
            .with_context(|| name.to_owned())?;
        Ok(u32::try_from(value)?)
    };
    Ok((mib("crashkernel_mib")?, mib("measured_mib")?))
}

/// What estimate says must be enough.
#[test]
#[ignore = "needs QEMU and the build root"]
fn estimate_when_followed_captures() -> Result<()> {
    let bench = Bench::new("estimate")?;
    build(&bench)?;
    ensure!(
        captures(&bench, PLENTY_MIB)?,
        "no dump with {PLENTY_MIB} MiB, see {}",
        bench.folder.display()
    );
    let (crashkernel, measured) = estimate(&bench)?;
    ensure!(
        measured > 64 && crashkernel > measured && crashkernel < PLENTY_MIB,
        "{crashkernel} {measured}"
    );
    ensure!(
        captures(&bench, crashkernel)?,
        "no dump with the estimated {crashkernel} MiB, see {}",
        bench.folder.display()
    );
    bench.done()
}
