// SPDX-License-Identifier: GPL-2.0-or-later
//! Targets with a file system: mount, log, dump under the name of an incomplete one, fsync, final name, fsync of the folder.

use super::attempt::{Job, Saved, read_summary, sync, sync_folder};
use super::collect::{self, Unreadable};
use super::summary;
use crate::blockdev;
use crate::config::{FileSystem, Nfs, Save};
use anyhow::{Context, Result, ensure};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use std::ffi::CString;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MOUNT_POINT: &str = "/mnt";
/// What it did, a line for each device.
const RESET_REPORT: &str = "/sys/kernel/reset_devices/devices";
/// The kernel log beside a dump.
pub(super) const LOG: &str = "vmcore-dmesg.txt";
/// The dump.
const COMPLETE: &str = "vmcore";
/// The dump until it is whole.
const INCOMPLETE: &str = "vmcore-incomplete";

pub(super) fn to_disk(job: &Job, disk: &FileSystem, wait: Duration) -> Result<Saved> {
    let device = blockdev::wait_for(&disk.device, wait)?;
    let fstype = match &disk.fstype {
        Some(fstype) => fstype.clone(),
        None => blockdev::file_system(&device)?.fstype.to_owned(),
    };
    let (flags, options) = mount_options(&disk.options)?;
    with_mount(&device.to_string_lossy(), &fstype, flags, &options, || {
        save_into(job, &disk.path, job.stamp)
    })
}

pub(super) fn to_nfs(job: &Job, server: &Nfs) -> Result<Saved> {
    let address: IpAddr = server.server.parse().with_context(|| {
        format!(
            "{} is no address: names are looked up when the initramfs is built",
            server.server
        )
    })?;
    let source = match address {
        IpAddr::V4(address) => format!("{address}:{}", server.export),
        IpAddr::V6(address) => format!("[{address}]:{}", server.export),
    };
    // soft: a server that dies is an error soon; what was not written is not taken for written, fsync says so.
    let defaults = format!("addr={address},vers=4.2,soft,timeo=100,retrans=2");
    let (flags, options) = mount_options(&server.options)?;
    let mut all = defaults;
    if !options.as_bytes().is_empty() {
        all.push(',');
        all.push_str(options.to_str()?);
    }
    let name = format!("{}-{}", job.role.hostname, job.stamp);
    with_mount(&source, "nfs", flags, &CString::new(all)?, || {
        save_into(job, &server.path, &name)
    })
}

fn with_mount(
    source: &str,
    fstype: &str,
    flags: MountFlags,
    options: &CString,
    work: impl FnOnce() -> Result<Saved>,
) -> Result<Saved> {
    // The root of the initramfs may be shared: this mount must stay in this process.
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .context("making the mounts private")?;
    mount(source, MOUNT_POINT, fstype, flags, options.as_c_str()).with_context(|| {
        let options = options.to_string_lossy();
        format!("mounting {source} ({fstype}, options \"{options}\") on {MOUNT_POINT}")
    })?;
    let result = work();
    // Also after a failure: an incomplete dump is worth keeping, under the name that says so.
    let unmounted = unmount(MOUNT_POINT, UnmountFlags::empty()).context("unmounting the target");
    let saved = result?;
    unmounted?;
    Ok(saved)
}

/// mount -o: the words that are flags of mount(2), and the rest for the file system.
fn mount_options(text: &str) -> Result<(MountFlags, CString)> {
    let mut flags = MountFlags::empty();
    let mut rest = Vec::new();
    for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        match word {
            "noatime" => flags |= MountFlags::NOATIME,
            "nodiratime" => flags |= MountFlags::NODIRATIME,
            "relatime" => flags |= MountFlags::RELATIME,
            "sync" => flags |= MountFlags::SYNCHRONOUS,
            "nosuid" => flags |= MountFlags::NOSUID,
            "nodev" => flags |= MountFlags::NODEV,
            "noexec" => flags |= MountFlags::NOEXEC,
            "rw" | "defaults" => {}
            word => rest.push(word),
        }
    }
    Ok((flags, CString::new(rest.join(","))?))
}

/// `path` is from the root of the mounted file system.
fn save_into(job: &Job, path: &str, name: &str) -> Result<Saved> {
    let start = Instant::now();
    let parent = Path::new(MOUNT_POINT).join(path);
    if job.summary {
        return leave_summary(&parent, path, name);
    }
    let name = free_name(&parent, name);
    let folder = parent.join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    // The log first: it is small, and often all that is needed.
    let log = folder.join(LOG);
    let logged = collect::log(&log)
        .and_then(|()| sync(&log))
        .and_then(|()| sync_folder(&folder))
        .with_context(|| format!("writing the kernel log to {}", log.display()));
    match logged {
        Ok(()) => job.log_saved(),
        // A log that cannot be read does not make the dump worthless.
        Err(error) if job.save == Save::Dump => eprintln!("kdumpkit init: {error:#}"),
        Err(error) => return Err(error),
    }
    save_reset_report(&folder);
    let (file, filter) = match job.save {
        Save::Dmesg => (LOG, None),
        Save::Dump => dump_into(job, &folder)?,
    };
    Ok(Saved {
        path: format!("{path}/{name}/{file}"),
        bytes: fs::metadata(folder.join(file))?.len(),
        elapsed_ms: start.elapsed().as_millis() as u64,
        filter,
    })
}

/// A folder that has a dump already is of another crash: clocks may stand still.
fn free_name(parent: &Path, name: &str) -> String {
    let names = std::iter::once(name.to_owned()).chain((1..).map(|n| format!("{name}.{n}")));
    names
        .take(1000)
        .find(|name| !parent.join(name).join(COMPLETE).exists())
        .unwrap_or_else(|| name.to_owned())
}

/// Incomplete name → fsync → final name → fsync of the folder. A dump without some pages keeps the first name. Returns
/// the name and what the filter says.
fn dump_into(job: &Job, folder: &Path) -> Result<(&'static str, Option<serde_json::Value>)> {
    let incomplete = folder.join(INCOMPLETE);
    let collected = job
        .role
        .collector
        .collect(&incomplete)
        .with_context(|| format!("writing {}", incomplete.display()));
    if collected.is_err() && is_full(folder) {
        // The file system may be the one that the machine is to boot from.
        let _ = fs::remove_file(&incomplete);
    }
    let filter = collected?;
    sync(&incomplete)?;
    ensure!(fs::metadata(&incomplete)?.len() > 0, "the dump is empty");
    if Unreadable::of(filter.as_ref()).is_some() {
        sync_folder(folder)?;
        return Ok((INCOMPLETE, filter));
    }
    let complete = folder.join(COMPLETE);
    fs::rename(&incomplete, &complete)
        .with_context(|| format!("renaming the dump to {}", complete.display()))?;
    sync_folder(folder)?;
    Ok((COMPLETE, filter))
}

/// Less than 1 % left.
fn is_full(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|s| s.f_bavail < s.f_blocks / 100)
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

/// Beside the newest dump of this crash, and for scripts under a name that is always the same.
fn leave_summary(parent: &Path, path: &str, name: &str) -> Result<Saved> {
    let text = read_summary()?;
    let newest = (0..1000)
        .map(|n| {
            if n == 0 {
                name.to_owned()
            } else {
                format!("{name}.{n}")
            }
        })
        .take_while(|name| parent.join(name).exists())
        .last();
    let places: Vec<PathBuf> = newest
        .map(|name| parent.join(name))
        .into_iter()
        .chain([parent.to_owned()])
        .collect();
    for folder in places {
        fs::create_dir_all(&folder)?;
        let incomplete = folder.join(format!("{}-incomplete", summary::NAME));
        fs::write(&incomplete, &text)
            .with_context(|| format!("writing {}", incomplete.display()))?;
        sync(&incomplete)?;
        fs::rename(&incomplete, folder.join(summary::NAME))?;
        sync_folder(&folder)?;
    }
    Ok(Saved::of(
        format!("{path}/{}", summary::NAME),
        text.len() as u64,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_options_when_mixed_are_told_apart() {
        let (flags, rest) = mount_options("noatime, vers=4.2,sync,port=2050").unwrap();
        assert_eq!(flags, MountFlags::NOATIME | MountFlags::SYNCHRONOUS);
        assert_eq!(rest.to_str().unwrap(), "vers=4.2,port=2050");
    }

    #[test]
    fn free_name_when_the_folder_has_a_dump_is_another() {
        let parent = std::env::temp_dir().join(format!("kdumpkit-names-{}", std::process::id()));
        fs::create_dir_all(parent.join("a")).unwrap();
        assert_eq!(free_name(&parent, "a"), "a");
        fs::write(parent.join("a/vmcore"), "x").unwrap();
        assert_eq!(free_name(&parent, "a"), "a.1");
        fs::remove_dir_all(&parent).unwrap();
    }
}
