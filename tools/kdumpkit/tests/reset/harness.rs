// SPDX-License-Identifier: GPL-2.0-or-later
//! What all guests of this project run in, with the cheapest guest.

use crate::guest::{Bench, Guest};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// The QEMU that runs in a folder.
fn qemu_in(folder: &Path) -> Option<Pid> {
    // By inode: in the build root the folder has another path.
    let inode = |path: &Path| fs::metadata(path).map(|data| (data.dev(), data.ino())).ok();
    let wanted = inode(folder)?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pid = processes.map(|entry| entry.path()).find(|process| {
        let command = fs::read_to_string(process.join("comm")).unwrap_or_default();
        command.starts_with("qemu") && inode(&process.join("cwd")) == Some(wanted)
    })?;
    Pid::from_raw(pid.file_name()?.to_str()?.parse().ok()?)
}

/// Ends the first QEMU of a folder as its own assertions would, before the guest's first event.
fn abort_qemu(folder: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        if let Some(pid) = qemu_in(folder) {
            return Ok(kill_process(pid, Signal::ABORT)?);
        }
        ensure!(start.elapsed() < Duration::from_secs(30), "no QEMU came up");
        sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "boots a guest: make check does it"]
fn guest_when_qemu_aborts_at_once_is_started_again() -> Result<()> {
    let bench = Bench::new("harness-abort")?;
    let guest = Guest {
        script: "echo said yes\n".into(),
        ..Guest::default()
    };
    scope(|threads| {
        let aborted = threads.spawn(|| abort_qemu(bench.folder()));
        bench.run(&guest, |said| {
            ensure!(said.one("said")? == "yes", "{}", said.text);
            aborted.join().ok().context("the thread panicked")?
        })
    })
}
