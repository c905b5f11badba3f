// SPDX-License-Identifier: GPL-2.0-or-later
//! Early: a machine that crashes in its system initramfs, before the root is mounted, is captured, and the guard ends the
//! loop. The system initramfs is made by the distribution's own initramfs-tools with our hooks.

use crate::guest::{Bench, kdumpkit, write_capture_initramfs};
use anyhow::{Context, Result, ensure};
use kdumpkit::vm::End;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The system behind the initramfs: it only has to come up.
const SYSTEM: &str = "#!/bin/busybox sh
busybox mount -t proc proc /proc
busybox mount -t devtmpfs dev /dev
{
	busybox cat /run/kdumpkit/early
	busybox echo \"system is up\"
} >/dev/console
busybox sync
busybox poweroff -f
";

/// What differs between the tests.
struct Case {
    name: &'static str,
    /// Of the system initramfs.
    builder: &'static str,
    /// `guard =` in the configuration.
    guard: &'static str,
    /// QEMU arguments.
    devices: Vec<String>,
    limit: usize,
}

fn crash_loop(case: &Case) -> Result<()> {
    let bench = Bench::new(case.name)?;
    make_system_initramfs(&bench, case)?;
    make_root(&bench)?;
    let mut machine = bench
        .lab
        .machine(bench.folder.join("system.img"), &bench.folder);
    machine.cmdline = "crashkernel=192M root=/dev/vda rootfstype=ext4 rw loglevel=6 panic=5".into();
    machine.disks = vec!["root.img".into(), "guard.img".into()];
    machine.devices = case.devices.clone();
    machine.memory_mib = 768;
    // Only the capture kernels are heard; a boot of the system says nothing.
    machine.deadline = Duration::from_secs(900);
    machine.silence = Duration::from_secs(600);
    // Every boot is a machine of its own: what counts them has to survive a power cycle.
    let mut console = String::new();
    for _ in 0..=case.limit {
        let end = machine.run(&mut |_| {})?;
        ensure!(end == End::Off, "{end:?}, see {}", bench.folder.display());
        console += &String::from_utf8_lossy(&fs::read(bench.folder.join("console.log"))?);
    }
    for boot in 1..=case.limit {
        let words = format!("boot {boot} of {}", case.limit);
        ensure!(
            console.contains(&words),
            "no {words:?} in the console of {}",
            bench.folder.display()
        );
    }
    let stopped = format!(
        "NOT loaded: {} boots in a row loaded early and never came up",
        case.limit
    );
    ensure!(
        console.contains(&stopped),
        "the guard said nothing, see {}",
        bench.folder.display()
    );
    ensure!(
        console.contains("system is up"),
        "the last boot did not go on, see {}",
        bench.folder.display()
    );
    check_dumps(&bench, case.limit)?;
    bench.done()
}

/// Builds capture initramfs and system initramfs; prints what early adds.
fn make_system_initramfs(bench: &Bench, case: &Case) -> Result<()> {
    let folder = bench.folder.display();
    let capture = bench.folder.join("capture.initramfs");
    write_capture_initramfs(bench, &capture, "var/crash")?;
    let status = Command::new(bench.lab.tree.path("scripts/install"))
        .env("KDUMPKIT", kdumpkit())
        .env("DESTDIR", bench.folder.join("install"))
        .status()?;
    ensure!(status.success(), "scripts/install: {status}");
    fs::copy(bench.lab.kernel.image(), bench.folder.join("vmlinuz"))?;
    fs::copy(
        bench.lab.kernel.built().join("lkdtm.ko"),
        bench.folder.join("lkdtm.ko"),
    )
    .context("lkdtm.ko (make modules)")?;
    let config = format!(
        "[[target]]\ntype = \"filesystem\"\ndevice = \"/dev/vda\"\n
        [load]\nkernel = \"{folder}/vmlinuz\"\ninitramfs = \"{folder}/capture.initramfs\"
        [load.early]\nenabled = true\nlimit = {}\nguard = {}\n",
        case.limit, case.guard
    );
    fs::write(bench.folder.join("kdumpkit.toml"), config)?;
    fs::write(bench.folder.join("system.sh"), include_str!("system.sh"))?;
    let release = &bench.lab.kernel.release;
    let stock = bench.lab.kernel.stock_folder();
    let mut command: Command = bench.lab.tree.in_buildroot("sh");
    let output = command
        .current_dir(&bench.folder)
        .args(["system.sh", release])
        .arg(stock)
        .arg(case.builder)
        .arg(&bench.folder)
        .output()?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    fs::write(
        bench.folder.join("mkinitramfs.log"),
        format!("{out}\n{err}"),
    )?;
    ensure!(output.status.success(), "mkinitramfs: {out}\n{err}");
    let bytes = |name: &str| -> Result<u64> { Ok(fs::metadata(bench.folder.join(name))?.len()) };
    let (plain, hooked, image) = (bytes("plain.img")?, bytes("hooked.img")?, bytes("vmlinuz")?);
    let loader = Path::new(env!("CARGO_BIN_EXE_kdumpkit-init"));
    let alone = image + zstd_bytes(&capture)? + zstd_bytes(loader)?;
    println!(
        "{}: system initramfs {plain} bytes, with early {hooked}: {} more, of which {image} the kernel image; nested image, \
         initramfs and loader would be {alone}",
        case.builder,
        hooked.saturating_sub(plain)
    );
    ensure!(
        hooked > plain + image / 2 && hooked - plain < alone,
        "early is not in it, or sharing saves nothing: {out}\n{err}"
    );
    Ok(())
}

fn zstd_bytes(path: &Path) -> Result<u64> {
    Ok(zstd::bulk::compress(&fs::read(path)?, 9)?.len() as u64)
}

fn make_root(bench: &Bench) -> Result<()> {
    let root = bench.folder.join("root");
    for dir in [
        "bin",
        "sbin",
        "etc",
        "dev",
        "proc",
        "sys",
        "run",
        "tmp",
        "root",
        "var/crash",
    ] {
        fs::create_dir_all(root.join(dir))?;
    }
    fs::copy(bench.lab.busybox()?, root.join("bin/busybox"))?;
    fs::write(root.join("sbin/init"), SYSTEM)?;
    bench.run_tool("chmod", &["755", "root/sbin/init"])?;
    File::create(bench.folder.join("root.img"))?.set_len(512 << 20)?;
    File::create(bench.folder.join("guard.img"))?.set_len(1 << 20)?;
    bench.run_tool(
        "mke2fs",
        &["-q", "-F", "-t", "ext4", "-d", "root", "root.img"],
    )
}

/// As many dumps as crashes, each from before the root was mounted.
fn check_dumps(bench: &Bench, count: usize) -> Result<()> {
    bench.run_tool("debugfs", &["root.img", "-R", "rdump var/crash ."])?;
    let mut dumps: Vec<_> = fs::read_dir(bench.folder.join("crash"))?
        .filter_map(|entry| Some(entry.ok()?.path().join("vmcore")))
        .filter(|dump| dump.exists())
        .collect();
    dumps.sort();
    ensure!(
        dumps.len() == count,
        "{dumps:?}, not {count}, see {}",
        bench.folder.display()
    );
    for dump in &dumps {
        let log = bench.folder.join("log");
        let status = Command::new(kdumpkit())
            .args(["filter", "-f", "--dump-dmesg"])
            .args([dump, &log])
            .status()?;
        let text = fs::read_to_string(&log).unwrap_or_default();
        ensure!(status.success(), "no log in {}", dump.display());
        let has = |words: &str| text.contains(words);
        ensure!(
            has("kdumpkit: early: loaded at")
                && has("Kernel panic - not syncing: dumptest")
                && !has("EXT4-fs"),
            "{} is of another moment",
            dump.display()
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs QEMU and the build root"]
fn initramfs_tools_when_crashing_before_the_root_dumps_until_the_guard_stops_it() -> Result<()> {
    crash_loop(&Case {
        name: "early-device",
        builder: "initramfs-tools",
        guard: "{ device = \"/dev/vdb\" }",
        devices: Vec::new(),
        limit: 2,
    })
}

#[test]
#[ignore = "needs QEMU and the build root"]
fn full_dracut_when_crashing_before_the_root_dumps_until_the_guard_stops_it() -> Result<()> {
    crash_loop(&Case {
        name: "early-dracut",
        builder: "dracut",
        guard: "{ device = \"/dev/vdb\" }",
        devices: Vec::new(),
        limit: 1,
    })
}

#[test]
#[ignore = "needs QEMU and the build root"]
fn full_efi_when_there_are_variables_counts_in_a_variable() -> Result<()> {
    let tree = kdumpkit::tree::Tree::find()?;
    let folder = tree.path("build/runs");
    let vars = folder.join("efi-vars.fd");
    fs::create_dir_all(&folder)?;
    fs::copy(
        tree.buildroot()?.join("usr/share/OVMF/OVMF_VARS_4M.fd"),
        &vars,
    )?;
    let flash = |unit: &str, file: &str| {
        [
            "-drive".to_owned(),
            format!("if=pflash,format=raw,unit={unit},file={file}"),
        ]
    };
    let devices = [
        flash("0,readonly=on", "/usr/share/OVMF/OVMF_CODE_4M.fd"),
        flash("1", &vars.display().to_string()),
    ];
    crash_loop(&Case {
        name: "early-efi",
        builder: "initramfs-tools",
        guard: "\"auto\"",
        devices: devices.concat(),
        limit: 3,
    })
}
