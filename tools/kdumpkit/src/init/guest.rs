// SPDX-License-Identifier: GPL-2.0-or-later
//! The first kernel of a test guest: load the capture kernel, run a script, arm lkdtm, make load, wait for the end.

use super::load::{self, Load};
use super::report::Reporter;
use super::{modules, system};
use crate::event::Event;
use crate::initramfs::{self, MKDFINFO_PATH, MKDFINFO_SYSFS};
use crate::load::kexec;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// What a test guest does after boot, in this order. An empty role boots and powers off.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuestRole {
    /// sysctls, dotted name and value.
    pub sysctls: Vec<(String, String)>,
    /// Modules to load.
    pub modules: Vec<String>,
    /// The capture kernel to load.
    pub capture: Option<CaptureImage>,
    /// Script for the initramfs's shell; its end is reported as an event. Not zero ends the guest.
    pub script: Option<String>,
    /// Parameters of `modprobe lkdtm`.
    pub lkdtm: Option<Vec<String>>,
    /// Load to run once armed; what only notices a hang, before.
    pub loads: Vec<Load>,
    /// How long to wait for the crash, in seconds.
    pub wait_s: u64,
}

/// A capture kernel inside the first kernel's initramfs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureImage {
    /// Path of the bzImage.
    pub kernel: String,
    /// Path of its initramfs.
    pub initramfs: String,
    /// Its command line.
    pub cmdline: String,
    /// Add this kernel's mkdfinfo file (from mkdfinfo.ko, which must be among the modules) to the initramfs.
    #[serde(default)]
    pub mkdfinfo: bool,
}

/// Plays the role; returns when nothing crashed.
pub fn run(role: &GuestRole, reporter: &mut Reporter) -> Result<()> {
    // Everything on the console from here on: it is the evidence when no dump comes out.
    system::sysctl("kernel.printk", "8")?;
    for (name, value) in &role.sysctls {
        system::sysctl(name, value)?;
    }
    modules::load_all(&role.modules)?;
    if let Some(image) = &role.capture {
        if image.mkdfinfo {
            add_mkdfinfo(Path::new(&image.initramfs))?;
        }
        let initramfs =
            File::open(&image.initramfs).with_context(|| format!("opening {}", image.initramfs))?;
        kexec::load(Path::new(&image.kernel), &initramfs, &image.cmdline)?;
        reporter.send(&Event::CaptureLoaded {
            reserved_bytes: kexec::reserved_bytes(),
        });
    }
    if let Some(script) = &role.script {
        if !run_script(script, reporter)? {
            return Ok(());
        }
    }
    // A hang at DIRECT never comes back from arming.
    let (watching, provoking): (Vec<_>, Vec<_>) =
        role.loads.iter().partition(|load| **load == Load::Rcu);
    load::start(watching)?;
    if let Some(parameters) = &role.lkdtm {
        if !arm(parameters, reporter)? {
            return Ok(());
        }
    }
    load::start(provoking)?;
    if role.wait_s > 0 {
        sleep(Duration::from_secs(role.wait_s));
        reporter.send(&Event::NoCrash {
            waited_s: role.wait_s,
        });
    }
    Ok(())
}

/// What is built on a running machine has its mkdfinfo; here the initramfs came from outside.
fn add_mkdfinfo(initramfs: &Path) -> Result<()> {
    let text = fs::read(MKDFINFO_SYSFS)
        .with_context(|| format!("reading {MKDFINFO_SYSFS}: is mkdfinfo.ko loaded?"))?;
    initramfs::append(initramfs, MKDFINFO_PATH, &text)
}

fn run_script(script: &str, reporter: &mut Reporter) -> Result<bool> {
    let output = Command::new("/bin/busybox")
        .args(["sh", "-c", &format!("exec 2>&1\n{script}")])
        .env("PATH", "/bin")
        .output()
        .context("running the script")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    reporter.send(&Event::Script {
        status: exit_code(output.status),
        output: text,
    });
    Ok(output.status.success())
}

fn arm(parameters: &[String], reporter: &mut Reporter) -> Result<bool> {
    reporter.send(&Event::Arming {
        parameters: parameters.to_vec(),
    });
    let output = Command::new("/bin/busybox")
        .args(["modprobe", "lkdtm"])
        .args(parameters)
        .stdin(Stdio::null())
        .output()
        .context("running modprobe lkdtm")?;
    let lines = lkdtm_log();
    if output.status.success() {
        reporter.send(&Event::Armed {
            log: lines.last().cloned().unwrap_or_default(),
        });
        return Ok(true);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let log = format!("{}\n{}", words.trim(), lines.join("\n"));
    reporter.send(&Event::ArmFailed {
        status: exit_code(output.status),
        log,
    });
    Ok(false)
}

/// What lkdtm has said so far, without time stamps.
fn lkdtm_log() -> Vec<String> {
    let mut buffer = vec![0_u8; 1 << 20];
    // SAFETY: the buffer is writable for the length given; 3 is SYSLOG_ACTION_READ_ALL (syslog(2)).
    let n = unsafe { libc::klogctl(3, buffer.as_mut_ptr().cast(), buffer.len() as libc::c_int) };
    let Ok(n) = usize::try_from(n) else {
        return vec![format!(
            "dmesg cannot be read: {}",
            std::io::Error::last_os_error()
        )];
    };
    let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
    text.lines()
        .filter_map(|line| line.find("lkdtm: ").map(|at| line[at..].to_owned()))
        .collect()
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or(status.signal().map(|s| 128 + s))
        .unwrap_or(-1)
}
