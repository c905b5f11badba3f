// SPDX-License-Identifier: GPL-2.0-or-later
//! The few things that PID 1 does to the machine: mounts, sysctls, waiting for a device, the end.

use crate::event::Stage;
use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, reboot, uname};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Mounts /proc, /sys, /dev and debugfs.
pub fn mount_basics() -> Result<()> {
    let basics = [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("debugfs", "/sys/kernel/debug"),
    ];
    for (kind, path) in basics {
        mount(kind, path, kind, MountFlags::empty(), None)
            .with_context(|| format!("mounting {kind} on {path}"))?;
    }
    Ok(())
}

/// `uname -r`.
pub fn release() -> String {
    uname().release().to_string_lossy().into_owned()
}

/// Milliseconds since this kernel's start.
pub fn uptime_ms() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: f64 = text
        .split(' ')
        .next()
        .and_then(|s| s.parse().ok())
        .unwrap_or(0.0);
    (seconds * 1000.0) as u64
}

/// Sets a sysctl by its dotted name.
pub fn sysctl(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::write(&path, value).with_context(|| format!("setting sysctl {name}={value}"))
}

/// Waits until `path` exists.
pub fn wait_for(path: &str, deadline: Duration) -> Result<()> {
    let end = Instant::now() + deadline;
    while !Path::new(path).exists() {
        if Instant::now() > end {
            let have: Vec<_> = fs::read_dir("/sys/class/block")
                .map(|d| {
                    d.flatten()
                        .map(|e| e.file_name().to_string_lossy().into_owned())
                        .collect()
                })
                .unwrap_or_default();
            bail!(
                "{path} did not appear within {} s; block devices here: {}",
                deadline.as_secs(),
                have.join(" ")
            );
        }
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Syncs and powers off. A capture kernel that cannot power off reboots; neither returns.
pub fn end_machine(stage: Stage) -> ! {
    rustix::fs::sync();
    let _ = reboot(RebootCommand::PowerOff);
    if stage == Stage::Capture {
        let _ = reboot(RebootCommand::Restart);
    }
    loop {
        sleep(Duration::from_secs(3600));
    }
}
