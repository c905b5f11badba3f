// SPDX-License-Identifier: GPL-2.0-or-later
//! Brings a scenario about on this machine.

use super::config::MasterConfig;
use super::state::{Crashing, State, Store, boot_id};
use super::{judge, say, watchdog};
use crate::init;
use crate::test::journal::Cell;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The scratch file's size: the load writes to its first 4 MiB, buffered to 32.
const SCRATCH_BYTES: usize = 32 << 20;

/// Crashes the machine; comes back when it did not.
///
/// # Errors
/// Something that has to be there before any scenario is not: space, the capture kernel, the watchdog.
pub(super) fn crash(config: &MasterConfig, store: &Store, cell: &Cell) -> Result<()> {
    enough_space(config)?;
    load_capture_kernel(config)?;
    make_scratch(&config.scratch())?;
    let before = store.read()?.crashing;
    let attempt = before
        .filter(|c| c.cell == cell.id)
        .map_or(1, |c| c.attempt + 1);
    let crashing = Crashing {
        cell: cell.id.clone(),
        attempt,
        boot_id: boot_id(),
        at: jiff::Timestamp::now(),
        dumps_before: judge::dumps(&config.dumps),
    };
    store.write(&State {
        crashing: Some(crashing),
        stopped: None,
    })?;
    // From here on everything that the machine had to say is on the disk.
    rustix::fs::sync();
    let _watchdog = watchdog::arm(config)?;
    say(&format!("crashing: {}, attempt {attempt}", cell.id));
    provoke(config, cell)
}

fn enough_space(config: &MasterConfig) -> Result<()> {
    fs::create_dir_all(&config.dumps)
        .with_context(|| format!("creating {}", config.dumps.display()))?;
    let space = rustix::fs::statvfs(&config.dumps)?;
    let free_mib = space.f_bavail.saturating_mul(space.f_frsize) >> 20;
    ensure!(
        free_mib >= config.min_free_mib,
        "{free_mib} MiB are free in {}, min_free_mib is {}: remove old dumps",
        config.dumps.display(),
        config.min_free_mib
    );
    Ok(())
}

pub(super) fn load_capture_kernel(config: &MasterConfig) -> Result<()> {
    let output = Command::new("/bin/sh")
        .args(["-c", &config.load])
        .output()
        .context("starting /bin/sh")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "loading the capture kernel ({}): {}",
        config.load,
        words.trim()
    );
    let loaded = fs::read_to_string("/sys/kernel/kexec_crash_loaded").unwrap_or_default();
    ensure!(
        loaded.trim() == "1",
        "{} ended well, but no capture kernel is loaded",
        config.load
    );
    Ok(())
}

/// A file that the load may overwrite; its own, and nobody else's.
fn make_scratch(path: &Path) -> Result<()> {
    if path
        .metadata()
        .is_ok_and(|m| m.len() >= SCRATCH_BYTES as u64)
    {
        return Ok(());
    }
    fs::write(path, vec![0; SCRATCH_BYTES])
        .with_context(|| format!("writing {}", path.display()))?;
    File::open(path)?.sync_all()?;
    Ok(())
}

fn provoke(config: &MasterConfig, cell: &Cell) -> Result<()> {
    let scenario = &cell.scenario;
    // A panic without a capture kernel, or in one that is broken, must not wait for a person.
    let always = ("kernel.panic".to_owned(), "10".to_owned());
    for (name, value) in scenario.sysctls.iter().chain([&always]) {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        if let Err(error) = fs::write(&path, value) {
            say(&format!("sysctl {name}={value}: {error}"));
        }
    }
    init::start_loads(&scenario.loads)?;
    if let Some(script) = &scenario.trigger.script {
        Command::new("/bin/sh")
            .args(["-c", script])
            .status()
            .context("running the scenario's script")?;
    }
    if let Some(lkdtm) = &scenario.trigger.lkdtm {
        let mut modprobe = Command::new("modprobe");
        modprobe.arg("lkdtm").args(lkdtm.parameters());
        // A hang at DIRECT never comes back from here: nobody waits for it, the watchdog does.
        let mut child = modprobe.spawn().context("starting modprobe")?;
        let end = Instant::now() + Duration::from_secs(config.wait_s);
        while Instant::now() < end {
            if let Some(status) = child.try_wait()? {
                if !status.success() {
                    bail!(
                        "modprobe lkdtm {} failed: dmesg says why",
                        lkdtm.parameters().join(" ")
                    );
                }
                break;
            }
            sleep(Duration::from_millis(100));
        }
    }
    sleep(Duration::from_secs(config.wait_s));
    Ok(())
}
