// SPDX-License-Identifier: GPL-2.0-or-later
//! The watchdog that ends a hang (Documentation/watchdog/watchdog-api.rst of the kernel). It runs on into the capture
//! kernel, so its time covers both; softdog does not, and covers the first kernel alone.

use super::config::MasterConfig;
use anyhow::{Context, Result};
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

/// `_IOWR('W', 6, int)`, include/uapi/linux/watchdog.h.
const WDIOC_SETTIMEOUT: libc::Ioctl = 0xc004_5706_u32 as libc::Ioctl;
/// include/uapi/linux/watchdog.h: the watchdog reset the machine.
const WDIOF_CARDRESET: u32 = 0x20;

/// Starts the watchdog. It is not fed: who gets the file only keeps it open.
///
/// # Errors
/// There is none, somebody else has it, or it does not take the time.
pub(super) fn arm(config: &MasterConfig) -> Result<Option<File>> {
    if config.watchdog.is_empty() {
        return Ok(None);
    }
    load_module(config)?;
    let path = Path::new(&config.watchdog);
    let file = OpenOptions::new().write(true).open(path).with_context(|| {
        format!(
            "opening the watchdog {}: is its driver loaded (watchdog_module = \"softdog\" always is to be had), and has \
             systemd taken it (RuntimeWatchdogSec=)?",
            path.display()
        )
    })?;
    let mut seconds = libc::c_int::try_from(config.watchdog_s)?;
    // SAFETY: the descriptor is open, the request takes a pointer to an int that it reads and writes, and `seconds` is one.
    let status = unsafe { libc::ioctl(file.as_raw_fd(), WDIOC_SETTIMEOUT, &raw mut seconds) };
    if status != 0 {
        return Err(std::io::Error::last_os_error()).with_context(|| {
            format!(
                "setting the watchdog {} to {} s",
                path.display(),
                config.watchdog_s
            )
        });
    }
    Ok(Some(file))
}

/// Brings the device, as far as a module can.
pub(super) fn load_module(config: &MasterConfig) -> Result<()> {
    if let Some(module) = config
        .watchdog_module
        .as_ref()
        .filter(|_| !Path::new(&config.watchdog).exists())
    {
        let status = Command::new("modprobe")
            .arg(module)
            .status()
            .context("starting modprobe")?;
        anyhow::ensure!(status.success(), "modprobe {module} failed: dmesg says why");
    }
    Ok(())
}

/// Whether a watchdog says that it ended the last boot.
pub(super) fn ended_last_boot() -> bool {
    let entries = fs::read_dir("/sys/class/watchdog")
        .into_iter()
        .flatten()
        .flatten();
    entries.into_iter().any(|entry| {
        let text = fs::read_to_string(entry.path().join("bootstatus")).unwrap_or_default();
        text.trim()
            .parse::<u32>()
            .is_ok_and(|status| status & WDIOF_CARDRESET != 0)
    })
}
