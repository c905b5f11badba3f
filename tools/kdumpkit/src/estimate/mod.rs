// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit estimate`: how large crashkernel= has to be, from what captures on this machine measured.
//!
//! The capture kernel's /init watches its memory ([`probe`]) and leaves the numbers in the summary beside the dump; the
//! largest need that was ever seen is kept for `kdumpkit status`.

pub mod need;
pub mod probe;

use crate::atomic;
use crate::config::{Config, DEFAULT_PATH, Kind};
use crate::load::config::STATE_FOLDER;
use crate::load::image::Image;
use crate::load::kexec;
use anyhow::{Context, Result, bail};
use clap::Args;
use need::{Measured, Need};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Name of the summary on a target.
const SUMMARY: &str = "kdumpkit-summary.json";
/// Kept in [`STATE_FOLDER`].
const KEPT: &str = "memory.json";

/// Say how large crashkernel= has to be, from what captures measured
#[derive(Debug, Args)]
pub struct EstimateArgs {
    /// The configuration, for the targets on which summaries may be
    #[arg(long, default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// A capture's kdumpkit-summary.json; without it those on mounted targets are looked for
    #[arg(long)]
    summary: Vec<PathBuf>,
    /// Folder in which the largest need is kept
    #[arg(long, default_value = STATE_FOLDER)]
    state: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Crash this machine now, to have something measured. It goes down at once
    #[arg(long)]
    crash: bool,
}

/// The part of a summary that is needed here.
#[derive(Debug, Deserialize)]
struct Summary {
    stamp: String,
    memory: Option<Measured>,
}

#[derive(Debug, Serialize)]
struct Report {
    reserved_mib: u64,
    measured: Measured,
    need: Need,
    from: String,
}

/// Runs `kdumpkit estimate`.
///
/// # Errors
/// Nothing has been measured yet; the message says how to.
pub fn main(args: &EstimateArgs) -> Result<ExitCode> {
    if args.crash {
        return crash();
    }
    let mut seen: Vec<(Measured, String)> = kept(&args.state)
        .into_iter()
        .map(|m| (m, "an earlier capture".into()))
        .collect();
    let given = if args.summary.is_empty() {
        summaries_on_targets(&args.config)
    } else {
        args.summary.clone()
    };
    for path in given {
        match read(&path) {
            Ok(found) => seen.push(found),
            Err(error) => eprintln!("kdumpkit: warning: {error:#}"),
        }
    }
    let Some((measured, from)) = seen.into_iter().max_by_key(|(m, _)| m.need().measured_mib) else {
        bail!(nothing_measured());
    };
    if let Err(error) = keep(&args.state, &measured) {
        eprintln!("kdumpkit: warning: {error:#}");
    }
    let report = Report {
        reserved_mib: kexec::reserved_bytes() >> 20,
        need: measured.need(),
        measured,
        from,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", text(&report));
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<(Measured, String)> {
    let parse = || -> Result<(Measured, String)> {
        let summary: Summary = serde_json::from_slice(&fs::read(path)?)?;
        let memory = summary.memory.context("it has no memory measurement")?;
        Ok((memory, format!("the capture of {}", summary.stamp)))
    };
    parse().with_context(|| format!("reading {}", path.display()))
}

/// Where a target's file system is mounted, its summary may be.
fn summaries_on_targets(config: &Path) -> Vec<PathBuf> {
    let Ok(config) = Config::load(config) else {
        return Vec::new();
    };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mount_points: Vec<&str> = mounts.lines().filter_map(|l| l.split(' ').nth(1)).collect();
    let mut found = Vec::new();
    for target in &config.targets {
        let folder = match &target.kind {
            Kind::Filesystem(target) => &target.path,
            Kind::Nfs(target) => &target.path,
            Kind::Raw(_) | Kind::Ssh(_) => continue,
        };
        for point in &mount_points {
            let path = Path::new(point).join(folder).join(SUMMARY);
            if path.exists() && !found.contains(&path) {
                found.push(path);
            }
        }
    }
    found
}

fn nothing_measured() -> String {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let floor = match Image::of_release(Path::new("/"), &release) {
        Ok(image) => format!(
            " The image alone (init_size) takes {} MiB, so begin with something like crashkernel=256M.",
            u64::from(image.header.init_size) >> 20
        ),
        Err(_) => String::new(),
    };
    format!(
        "nothing has been measured yet: a capture measures its memory and leaves it in {SUMMARY} on its target. Give one with \
         --summary, or let this machine crash once on purpose with --crash.{floor}"
    )
}

fn text(report: &Report) -> String {
    let need = &report.need;
    let mut out = format!("measured by {}:\n", report.from);
    for (what, mib) in [
        ("to be loaded (init_size and initramfs)", need.load_mib),
        ("while the initramfs was unpacked", need.unpack_mib),
        ("while the dump was written", need.capture_mib),
    ] {
        out += &format!("  {mib:>6} MiB  {what}\n");
    }
    let now = match report.reserved_mib {
        0 => "nothing is reserved now".to_owned(),
        mib => format!("{mib} MiB are reserved now"),
    };
    out + &format!("crashkernel={}M  ({now})\n", need.crashkernel_mib)
}

/// The largest need that was ever seen on this machine, from its state folder.
#[must_use]
pub fn kept(state: &Path) -> Option<Measured> {
    serde_json::from_slice(&fs::read(state.join(KEPT)).ok()?).ok()
}

fn keep(state: &Path, measured: &Measured) -> Result<()> {
    fs::create_dir_all(state).with_context(|| format!("making {}", state.display()))?;
    atomic::write(&state.join(KEPT), &serde_json::to_vec_pretty(measured)?)
}

/// sysrq-c, after everything is on the disks.
fn crash() -> Result<ExitCode> {
    if !kexec::is_loaded() {
        bail!("no capture kernel is loaded, a crash would measure nothing: kdumpkit load");
    }
    rustix::fs::sync();
    fs::write("/proc/sysrq-trigger", "c").context("crashing through /proc/sysrq-trigger")?;
    bail!("the machine did not crash: is sysrq-c allowed (kernel.sysrq)?")
}
