// SPDX-License-Identifier: GPL-2.0-or-later
//! The few things that PID 1 does to the machine: mounts, sysctls, waiting for a device, the end.

use crate::config::Action;
use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, reboot, uname};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
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

/// Whether `name` is a word of the kernel's command line.
pub fn parameter(name: &str) -> bool {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    line.split_whitespace().any(|word| word == name)
}

/// A shell on the console; returns when it ends.
pub fn shell(why: &str) {
    eprintln!("kdumpkit init: {why}; a shell, `exit` ends it");
    let status = Command::new("/bin/busybox")
        .args([
            "setsid",
            "/bin/busybox",
            "cttyhack",
            "/bin/busybox",
            "sh",
            "-i",
        ])
        .env("PATH", "/bin")
        .env("PS1", "kdumpkit# ")
        .status();
    if let Err(error) = status {
        eprintln!("kdumpkit init: starting a shell: {error}");
    }
}

/// Runs a command and kills it at the deadline.
///
/// # Errors
/// It cannot be started, fails, or takes too long.
pub fn run_within(command: &mut Command, deadline: Duration) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let end = Instant::now() + deadline;
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(());
            }
            bail!("{status}");
        }
        if Instant::now() > end {
            child.kill()?;
            bail!("not done within {} s", deadline.as_secs());
        }
        sleep(Duration::from_millis(20));
    }
}

/// Ends the machine; what does not work is followed by a reboot, and that by waiting for the watchdog.
pub fn end_machine(action: Action) -> ! {
    sync_within(Duration::from_secs(10));
    if action == Action::Shell {
        shell("the configuration asks for it");
    }
    let _ = match action {
        Action::Poweroff => reboot(RebootCommand::PowerOff),
        Action::Halt => reboot(RebootCommand::Halt),
        Action::Next | Action::Shell | Action::Reboot => Ok(()),
    };
    let _ = reboot(RebootCommand::Restart);
    loop {
        sleep(Duration::from_secs(3600));
    }
}

/// sync(2) waits for ever for a device that does not answer.
fn sync_within(deadline: Duration) {
    let (done, waiter) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        rustix::fs::sync();
        let _ = done.send(());
    });
    let _ = waiter.recv_timeout(deadline);
}
