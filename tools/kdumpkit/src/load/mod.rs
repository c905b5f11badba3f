// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit load`, `kdumpkit unload`: the capture kernel into the memory that crashkernel= reserved.
//!
//! Everything that can be known beforehand is checked first: the kernel drops the image that is loaded before it looks at
//! the new one, so a load that fails leaves the machine without any.

pub mod bzimage;
pub mod cmdline;
pub mod image;
pub mod iomem;
pub mod kexec;
pub mod relocatable;

#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};
use clap::Args;
use image::Image;
use iomem::CrashMemory;
use relocatable::Placement;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is to be loaded.
#[derive(Debug)]
pub struct Plan {
    /// The kernel.
    pub image: Image,
    /// Its initramfs.
    pub initramfs: PathBuf,
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
        let region = memory.main.context(
            "no memory is reserved for a capture kernel (/proc/iomem has no \"Crash kernel\"): boot with crashkernel=SIZE, \
             `kdumpkit estimate` says how much, and run this as root",
        )?;
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
    pub fn load(&self) -> Result<Placement> {
        let placement = self.check()?;
        let initramfs = File::open(&self.initramfs)
            .with_context(|| format!("opening the initramfs {}", self.initramfs.display()))?;
        kexec::load(&self.image.path, &initramfs, &self.cmdline)?;
        Ok(placement)
    }
}

/// Load the capture kernel: from now on a crash is captured
#[derive(Debug, Args)]
pub struct LoadArgs {
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
        ("loaded", plan.load()?)
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
    let image = match &args.kernel {
        Some(path) => Image::open(path)?,
        None => Image::of_release(Path::new("/"), &release)?,
    };
    let Some(initramfs) = args.initramfs.clone() else {
        bail!("no initramfs: give one with --initramfs")
    };
    let cmdline = match &args.cmdline {
        Some(line) => line.clone(),
        None => {
            let running = fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
            cmdline::capture(running.trim(), &[], &args.append)
        }
    };
    Ok(Plan {
        image,
        initramfs,
        cmdline,
    })
}
