// SPDX-License-Identifier: GPL-2.0-or-later
//! The capture initramfs: is it there, is it newer than what it is made from; built when it is not.

use super::config::LoadConfig;
use super::image::Image;
use super::record::Source;
use crate::atomic;
use crate::config::{Config, Modules};
use crate::early::archive::{Member, members, unpacked};
use crate::initramfs::modules::ModuleTree;
use crate::initramfs::{MKDFINFO_PATH, MKDFINFO_SYSFS, Sources, build, init_program, of_watchdogs};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// The initramfs on disk.
#[derive(Debug, Clone, Serialize)]
pub struct Initramfs {
    /// Its path.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What it was made from and is newer now.
    pub older_than: Vec<String>,
    /// Its mkdfinfo file.
    pub mkdfinfo: Mkdfinfo,
    /// The modules in it, with underscores; none when it cannot be read.
    pub modules: Option<Vec<String>>,
}

/// The mkdfinfo file in an initramfs, beside the one of the running kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mkdfinfo {
    /// There, and not known to be wrong.
    Fits,
    /// There is none: the filter has the dump's own note alone.
    Missing,
    /// The running kernel's mkdfinfo.ko says something else.
    Differs,
    /// The initramfs cannot be read.
    Unknown,
}

/// What the initramfs holds: its mkdfinfo file, and the modules.
fn look_inside(initramfs: &Path) -> (Mkdfinfo, Option<Vec<String>>) {
    let archive = fs::read(initramfs).map_err(Into::into).and_then(unpacked);
    let Ok(archive) = archive else {
        return (Mkdfinfo::Unknown, None);
    };
    let Ok(members) = members(&archive) else {
        return (Mkdfinfo::Unknown, None);
    };
    let modules = members.iter().filter_map(|member| {
        let file = Path::new(&member.name).file_name()?.to_str()?;
        Some(file.strip_suffix(".ko")?.replace('-', "_"))
    });
    (Mkdfinfo::of(&members), Some(modules.collect()))
}

impl Mkdfinfo {
    fn of(members: &[Member<'_>]) -> Self {
        let inside = MKDFINFO_PATH.trim_start_matches('/');
        // The last of the same name is the one that the kernel leaves.
        let Some(packed) = members.iter().rfind(|m| m.name == inside) else {
            return Self::Missing;
        };
        match fs::read(MKDFINFO_SYSFS) {
            Ok(live) if live != packed.data => Self::Differs,
            _ => Self::Fits,
        }
    }
}

impl Initramfs {
    /// The file at `path`, compared with what it is made from; None when it is not there.
    ///
    /// By inode change time: a package manager sets modification times back.
    #[must_use]
    pub fn look(path: &Path, inputs: &[PathBuf]) -> Option<Self> {
        let own = Source::now(path).ok()?;
        let (mkdfinfo, modules) = look_inside(path);
        Some(Self {
            path: path.to_owned(),
            bytes: own.bytes,
            older_than: newer(&own, inputs),
            mkdfinfo,
            modules,
        })
    }
}

fn newer(own: &Source, inputs: &[PathBuf]) -> Vec<String> {
    inputs
        .iter()
        .filter(|input| Source::now(input).is_ok_and(|s| s.changed_ns > own.changed_ns))
        .map(|input| input.display().to_string())
        .collect()
}

/// Those of `modules` that are not among the packed ones.
pub fn missing<'m>(modules: &'m [String], packed: &[String]) -> Vec<&'m str> {
    let is_missing = |module: &&String| !packed.contains(&module.replace('-', "_"));
    let found = modules.iter().filter(is_missing);
    found.map(String::as_str).collect()
}

/// Why the initramfs at `path` has to be built; None: it is as it would be built now. `watchdogs` are modules that it
/// is to have.
fn why_build(path: &Path, inputs: &[PathBuf], watchdogs: &[String]) -> Option<String> {
    let Ok(own) = Source::now(path) else {
        return Some("there was none".to_owned());
    };
    let newer = newer(&own, inputs);
    if !newer.is_empty() {
        return Some(format!("{} changed", newer.join(", ")));
    }
    // Last, for the archive has to be unpacked for it.
    let (mkdfinfo, modules) = look_inside(path);
    match mkdfinfo {
        Mkdfinfo::Differs => return Some("mkdfinfo changed".to_owned()),
        Mkdfinfo::Missing if Path::new(MKDFINFO_SYSFS).exists() => {
            return Some("it had no mkdfinfo".to_owned());
        }
        _ => {}
    }
    // Built early at boot, it may be older than the drivers that udev loaded since.
    let missing = missing(watchdogs, modules.as_deref()?).join(", ");
    (!missing.is_empty()).then(|| format!("it had no {missing} for the watchdog"))
}

/// What a capture initramfs for kernel `release` is made from: kernel, modules, configuration, /init.
#[must_use]
pub fn inputs(config: &Path, load: &LoadConfig, release: &str) -> Vec<PathBuf> {
    let image = Image::chosen(load.kernel.as_deref(), release);
    let mut inputs: Vec<PathBuf> = image.into_iter().map(|image| image.path).collect();
    inputs.push(format!("/lib/modules/{release}/modules.dep").into());
    inputs.push(config.to_owned());
    inputs.extend(init_program());
    inputs
}

/// The drivers of watchdogs that an initramfs of this configuration would get now.
fn wanted_watchdogs(config: &Config, release: &str) -> Vec<String> {
    let mut watchdogs = match config.initramfs.modules {
        Modules::Auto => of_watchdogs(Path::new("/sys")),
        Modules::List(_) => Vec::new(),
    };
    // Without a watchdog modules.dep need not be read at each load.
    if !watchdogs.is_empty() {
        let tree = ModuleTree::open(&Path::new("/lib/modules").join(release));
        watchdogs.retain(|module| tree.as_ref().is_ok_and(|tree| tree.has(module)));
    }
    watchdogs
}

/// The capture initramfs for kernel `release` by the configuration at `path`; builds it when it is not there or old.
///
/// # Errors
/// It cannot be built, or `[load] initramfs` names one that does not exist.
pub fn ensure_built(path: &Path, config: &Config, release: &str) -> Result<PathBuf> {
    let output = config.load.initramfs_path(release);
    if config.load.initramfs.is_some() {
        ensure!(
            output.exists(),
            "there is no initramfs {}, which [load] initramfs names",
            output.display()
        );
        return Ok(output);
    }
    let watchdogs = wanted_watchdogs(config, release);
    let Some(why) = why_build(&output, &inputs(path, &config.load, release), &watchdogs) else {
        return Ok(output);
    };
    let built = Sources::of_this_machine(Some(release))
        .and_then(|sources| build(config, &sources))
        .with_context(|| format!("building the capture initramfs of {}", path.display()))?;
    for warning in &built.warnings {
        eprintln!("kdumpkit: warning: {warning}");
    }
    output.parent().map_or(Ok(()), fs::create_dir_all)?;
    atomic::write(&output, &built.image)?;
    println!(
        "built {} ({} bytes): {why}",
        output.display(),
        built.image.len()
    );
    Ok(output)
}
