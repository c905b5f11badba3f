// SPDX-License-Identifier: GPL-2.0-or-later
//! The capture kernel: /proc/vmcore to a disk, so that nothing half-written looks whole.

use super::report::Reporter;
use super::{modules, system};
use crate::event::Event;
use crate::initramfs::MKDFINFO_PATH;
use anyhow::{Context, Result, bail, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const VMCORE: &str = "/proc/vmcore";
/// The module that quiets devices.
pub const RESET_MODULE: &str = "reset_devices";
/// What it did, a line for each device.
const RESET_REPORT: &str = "/sys/kernel/reset_devices/devices";
const MOUNT_POINT: &str = "/mnt";
const DEVICE_WAIT: Duration = Duration::from_secs(15);

/// What the capture kernel does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureRole {
    /// Modules to load, drivers of the target first.
    pub modules: Vec<String>,
    /// Block device of the target file system.
    pub device: String,
    /// Its file system type.
    pub filesystem: String,
    /// Folder for the dump, relative to the root of that file system.
    pub folder: String,
    /// What writes the dump.
    pub collector: Collector,
    /// Never come back: shows that a runner notices a capture kernel that hangs.
    #[serde(default)]
    pub hang: bool,
}

/// What turns /proc/vmcore into the dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collector {
    /// kdumpkit's own filter with these arguments.
    Filter {
        /// Arguments before the two file names.
        arguments: Vec<String>,
    },
    /// The ELF vmcore as it is; zero pages become holes.
    Elf,
    /// The distribution's makedumpfile with these arguments.
    Makedumpfile {
        /// Arguments before the two file names.
        arguments: Vec<String>,
    },
}

/// Writes the dump and reports it.
pub fn run(role: &CaptureRole, reporter: &mut Reporter) -> Result<()> {
    // Without this the reason why a capture failed would never reach the console (it was booted with quiet).
    system::sysctl("kernel.printk", "7")?;
    ensure!(
        Path::new(VMCORE).exists(),
        "{VMCORE} is missing: this is not a capture kernel"
    );
    quiet_devices();
    modules::load_all(&role.modules)?;
    if role.hang {
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
    system::wait_for(&role.device, DEVICE_WAIT)?;
    mount(
        &role.device,
        MOUNT_POINT,
        &role.filesystem,
        MountFlags::empty(),
        None,
    )
    .with_context(|| {
        format!(
            "mounting {} ({}) on {MOUNT_POINT}",
            role.device, role.filesystem
        )
    })?;
    let written = write_dump(role);
    // Also after a failure: an incomplete dump is worth keeping, under the name that says so.
    unmount(MOUNT_POINT, UnmountFlags::empty()).context("unmounting the target")?;
    let written = written?;
    reporter.send(&Event::Dump {
        path: written.path,
        bytes: written.bytes,
        elapsed_ms: written.elapsed.as_millis() as u64,
        filter: written.filter,
    });
    Ok(())
}

/// A complete dump.
struct Written {
    /// Relative to the root of the target file system.
    path: String,
    bytes: u64,
    elapsed: Duration,
    /// What the filter says that it did.
    filter: Option<serde_json::Value>,
}

/// Incomplete name → fsync → final name → fsync of the folder.
fn write_dump(role: &CaptureRole) -> Result<Written> {
    let start = Instant::now();
    let folder = Path::new(MOUNT_POINT).join(&role.folder);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    // The log first: it is small, and often all that is needed.
    let log = folder.join("vmcore-dmesg.txt");
    filter(&["--dump-dmesg".to_owned()], &log)
        .and_then(|_| Ok(File::open(&log)?.sync_all()?))
        .with_context(|| format!("writing the kernel log to {}", log.display()))?;
    save_reset_report(&folder);
    let incomplete = folder.join("vmcore-incomplete");
    let filter = collect(&role.collector, &incomplete)
        .with_context(|| format!("writing {}", incomplete.display()))?;
    let file = File::open(&incomplete)?;
    file.sync_all().context("fsync of the dump")?;
    let bytes = file.metadata()?.len();
    ensure!(bytes > 0, "the dump is empty");
    let complete = folder.join("vmcore");
    fs::rename(&incomplete, &complete)
        .with_context(|| format!("renaming the dump to {}", complete.display()))?;
    File::open(&folder)?
        .sync_all()
        .context("fsync of the dump's folder")?;
    Ok(Written {
        path: format!("{}/vmcore", role.folder),
        bytes,
        elapsed: start.elapsed(),
        filter,
    })
}

/// Before the first driver is loaded. Through modprobe, because that passes `reset_devices.skip=` and the like of the
/// kernel's command line on. A dump from a machine with loud devices is better than none: failing is no error.
fn quiet_devices() {
    let status = Command::new("/bin/busybox")
        .args(["modprobe", RESET_MODULE])
        .status();
    if !status.is_ok_and(|s| s.success()) {
        eprintln!(
            "kdumpkit init: {RESET_MODULE} is not loaded, devices may go on writing to memory"
        );
    }
}

/// Tells beside the dump how the devices were quieted before; no reason to lose the dump.
fn save_reset_report(folder: &Path) {
    let copy = folder.join("reset_devices.txt");
    if Path::new(RESET_REPORT).exists() {
        if let Err(error) = fs::copy(RESET_REPORT, &copy) {
            eprintln!("kdumpkit init: writing {}: {error}", copy.display());
        }
    }
}

/// Returns what the filter says that it did.
fn collect(collector: &Collector, out: &Path) -> Result<Option<serde_json::Value>> {
    match collector {
        Collector::Filter { arguments } => {
            let said = filter(
                &[arguments.as_slice(), &["--json".to_owned()]].concat(),
                out,
            )?;
            Ok(serde_json::from_slice(&said).ok())
        }
        Collector::Elf => copy_sparse(
            &mut File::open(VMCORE).context("opening /proc/vmcore")?,
            out,
        )
        .map(|()| None),
        Collector::Makedumpfile { arguments } => {
            collect_with(Command::new("/usr/bin/makedumpfile").args(arguments), out).map(|_| None)
        }
    }
}

/// Runs this program's own filter, in a process of its own: PID 1 must outlive whatever happens to it. Returns its
/// standard output.
///
/// The kernel's mkdfinfo file is used when it is there. One that is refused (of another kernel, damaged) is refused before
/// the target is created: then the dump's own note must do.
fn filter(arguments: &[String], out: &Path) -> Result<Vec<u8>> {
    let with = |info: &[&str]| {
        collect_with(
            Command::new("/proc/self/exe")
                .arg("filter")
                .args(info)
                .args(arguments),
            out,
        )
    };
    if !Path::new(MKDFINFO_PATH).exists() {
        return with(&[]);
    }
    match with(&["-i", MKDFINFO_PATH]) {
        Err(error) if !out.exists() => {
            eprintln!("kdumpkit init: {error:#}; trying without {MKDFINFO_PATH}");
            with(&[])
        }
        result => result,
    }
}

fn collect_with(command: &mut Command, out: &Path) -> Result<Vec<u8>> {
    command.arg(VMCORE).arg(out);
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}: {}", output.status, words.trim());
    }
    Ok(output.stdout)
}

fn copy_sparse(source: &mut impl Read, path: &Path) -> Result<()> {
    const PAGE_BYTES: usize = 4096;
    let mut out = File::create(path)?;
    let mut buffer = vec![0; 256 * PAGE_BYTES];
    let mut length = 0_u64;
    loop {
        let n = source
            .read(&mut buffer)
            .with_context(|| format!("reading {VMCORE} at {length:#x}"))?;
        if n == 0 {
            break;
        }
        for page in buffer[..n].chunks(PAGE_BYTES) {
            if page.iter().any(|byte| *byte != 0) {
                out.seek(SeekFrom::Start(length))?;
                out.write_all(page)?;
            }
            length += page.len() as u64;
        }
    }
    out.set_len(length).context("setting the dump's length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_sparse_when_zero_pages_keeps_length_and_bytes() {
        let mut data = vec![0_u8; 10 * 4096 + 17];
        data[5000] = 7;
        let path = std::env::temp_dir().join(format!("kdumpkit-sparse-{}", std::process::id()));
        copy_sparse(&mut data.as_slice(), &path).unwrap();
        let back = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(back, data);
    }
}
