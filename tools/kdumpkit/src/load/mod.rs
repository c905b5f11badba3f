// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit load`, `kdumpkit unload`: the capture kernel into the memory that crashkernel= reserved.
//!
//! Everything that can be known beforehand is checked first: the kernel drops the image that is loaded before it looks at
//! the new one, so a load that fails leaves the machine without any.

pub mod bzimage;
pub mod cmdline;
pub mod config;
pub mod image;
pub mod initramfs;
pub mod iomem;
pub mod kexec;
pub mod record;
pub mod relocatable;

#[cfg(test)]
mod tests;

use crate::config::{Config, DEFAULT_PATH};
use anyhow::{Context, Result};
use clap::Args;
use config::LoadConfig;
use image::Image;
use iomem::CrashMemory;
use record::Record;
use relocatable::Placement;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::ExitCode;

/// What is to be loaded.
#[derive(Debug)]
pub struct Plan {
    /// The kernel.
    pub image: Image,
    /// Its initramfs.
    pub initramfs: PathBuf,
    /// Keeps an initramfs open that has no path of its own but the one of its descriptor.
    pub memory: Option<File>,
    /// Its command line.
    pub cmdline: String,
}

impl Plan {
    /// Checks the plan against this machine; says where the kernel may go.
    ///
    /// # Errors
    /// No memory is reserved, or the image cannot run there; every reason, with field, value and what is needed.
    pub fn check(&self) -> Result<Placement> {
        let memory = CrashMemory::parse(&fs::read_to_string("/proc/iomem")?);
        let region = memory.main.with_context(|| {
            let running = fs::read_to_string("/proc/cmdline").unwrap_or_default();
            format!(
                "no memory is reserved for a capture kernel (/proc/iomem has no \"Crash kernel\" to this user): {}",
                iomem::advice_when_none(&running)
            )
        })?;
        let bytes = fs::metadata(&self.initramfs)
            .with_context(|| format!("looking at the initramfs {}", self.initramfs.display()))?
            .len();
        self.image
            .check(region, bytes, &self.cmdline)
            .map_err(|refusals| {
                let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
                anyhow::anyhow!(
                    "{} cannot be the capture kernel:\n  {}",
                    self.image.path.display(),
                    lines.join("\n  ")
                )
            })
    }

    /// Checks, then loads.
    ///
    /// # Errors
    /// As [`Self::check`] and [`kexec::load`]. After a failed check, what was loaded before is still loaded.
    pub fn load(&self, early: bool) -> Result<Placement> {
        let placement = self.check()?;
        let initramfs = File::open(&self.initramfs)
            .with_context(|| format!("opening the initramfs {}", self.initramfs.display()))?;
        kexec::load(&self.image.path, &initramfs, &self.cmdline)?;
        // Loaded is loaded: a /run that cannot be written only makes status know less.
        if let Err(error) = Record::of(self, placement, early).and_then(|r| r.write()) {
            eprintln!("kdumpkit: warning: {error:#}");
        }
        Ok(placement)
    }
}

/// Load the capture kernel: from now on a crash is captured
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// The configuration
    #[arg(long, default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// Kernel image instead of the running kernel's own
    #[arg(long)]
    kernel: Option<PathBuf>,
    /// Initramfs instead of the one built from the configuration
    #[arg(long)]
    initramfs: Option<PathBuf>,
    /// The whole command line, instead of one made from the running kernel's
    #[arg(long)]
    cmdline: Option<String>,
    /// More for the end of the command line
    #[arg(long, default_value = "")]
    append: String,
    /// Check everything, load nothing
    #[arg(long)]
    dry_run: bool,
}

/// Remove the loaded capture kernel
#[derive(Debug, Args)]
pub struct UnloadArgs {}

/// Runs `kdumpkit load`.
///
/// # Errors
/// See [`Plan::load`].
pub fn main(args: &LoadArgs) -> Result<ExitCode> {
    let plan = plan(args)?;
    let (verb, placement) = if args.dry_run {
        ("would load", plan.check()?)
    } else {
        ("loaded", plan.load(false)?)
    };
    println!("{verb} {}", plan.image.path.display());
    println!("  initramfs     {}", plan.initramfs.display());
    println!("  command line  {}", plan.cmdline);
    println!(
        "  address       {:#x} to {:#x}",
        placement.lowest, placement.highest
    );
    Ok(ExitCode::SUCCESS)
}

/// Runs `kdumpkit unload`.
///
/// # Errors
/// See [`kexec::unload`].
pub fn unload(_: &UnloadArgs) -> Result<ExitCode> {
    let was_loaded = kexec::is_loaded();
    kexec::unload()?;
    Record::remove();
    println!(
        "{}",
        if was_loaded {
            "unloaded: a crash is no longer captured"
        } else {
            "nothing was loaded"
        }
    );
    Ok(ExitCode::SUCCESS)
}

fn plan(args: &LoadArgs) -> Result<Plan> {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let (load, initramfs) = match &args.initramfs {
        // With an initramfs of its own a load needs no configuration.
        Some(path) if !args.config.exists() => (LoadConfig::default(), path.clone()),
        Some(path) => (Config::load(&args.config)?.load, path.clone()),
        None => {
            let config = Config::load(&args.config)?;
            let path = initramfs::ensure_built(&args.config, &config, &release)?;
            (config.load, path)
        }
    };
    let load = args.on_top_of(load);
    let running = fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
    Ok(Plan {
        image: Image::chosen(load.kernel.as_deref(), &release)?,
        initramfs,
        memory: None,
        cmdline: load.cmdline(running.trim()),
    })
}

impl LoadArgs {
    /// The `[load]` section with what the command line says instead.
    fn on_top_of(&self, config: LoadConfig) -> LoadConfig {
        LoadConfig {
            kernel: self.kernel.clone().or(config.kernel),
            cmdline: self.cmdline.clone().or(config.cmdline),
            append: format!("{} {}", config.append, self.append),
            ..config
        }
    }
}
