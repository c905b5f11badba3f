// SPDX-License-Identifier: GPL-2.0-or-later
//! Early: the capture kernel loaded as the first act of the system initramfs, so that a crash while drivers are probed or
//! the root is looked for is captured as well.
//!
//! The hooks of initramfs-tools and dracut (scripts/early) call [`pack`] when the system initramfs is made and [`load`] when
//! it starts. [`guard`] keeps a machine that crashes early from doing so for ever.

pub mod archive;
pub mod guard;
pub mod load;
pub mod pack;
pub mod store;

use crate::config::{Config, DEFAULT_PATH};
use crate::load::config::LoadConfig;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use load::Outcome;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where everything is in the system initramfs.
pub const FOLDER: &str = "/usr/lib/kdumpkit/early";
/// What the early load said, for `kdumpkit status`.
pub const SAID: &str = "/run/kdumpkit/early";

/// The configuration does not enable the early load (sysexits.h: EX_TEMPFAIL, which nothing else here uses).
const EXIT_NOT_ENABLED: u8 = 75;

/// The files in [`FOLDER`].
pub mod files {
    /// This program: loader here, /init in the capture kernel.
    pub const PROGRAM: &str = "kdumpkit";
    /// The kernel image.
    pub const KERNEL: &str = "vmlinuz";
    /// The capture initramfs without this program and the shared modules.
    pub const REST: &str = "rest.cpio";
    /// Names of the shared modules, a line each, for the hooks.
    pub const MODULES: &str = "modules";
    /// [`super::Contents`].
    pub const CONTENTS: &str = "early.json";
}

/// What the early files are, and how to load them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Kernel release of image and modules.
    pub release: String,
    /// Names of the modules that the system initramfs shares.
    pub modules: Vec<String>,
    /// The `[load]` section.
    pub load: LoadConfig,
}

impl Contents {
    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(files::CONTENTS);
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("understanding {}", path.display()))
    }
}

/// The capture kernel as the first act of the system initramfs (called by the hooks)
#[derive(Debug, Args)]
pub struct EarlyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write what the system initramfs needs to a folder of it
    ///
    /// Exit status 75 when the configuration does not enable the early load.
    Pack {
        /// Kernel release that the system initramfs is for
        #[arg(long)]
        release: Option<String>,
        /// Folder to write to (/usr/lib/kdumpkit/early inside the system initramfs); without it, only say whether the early
        /// load is enabled
        #[arg(long)]
        output: Option<PathBuf>,
        /// The configuration
        #[arg(long, default_value = DEFAULT_PATH)]
        config: PathBuf,
    },
    /// Load, as the first act of the system initramfs
    Load,
    /// The system is up: the crash-loop guard counts from the start
    Up {
        /// The configuration
        #[arg(long, default_value = DEFAULT_PATH)]
        config: PathBuf,
    },
}

/// Runs `kdumpkit early`.
///
/// # Errors
/// See the subcommands' modules.
pub fn main(args: &EarlyArgs) -> Result<ExitCode> {
    match &args.command {
        Command::Pack {
            release,
            output,
            config,
        } => {
            let Some(enabled) = enabled(config)? else {
                return Ok(ExitCode::from(EXIT_NOT_ENABLED));
            };
            if let Some(output) = output {
                let running = rustix::system::uname()
                    .release()
                    .to_string_lossy()
                    .into_owned();
                let release = release.as_ref().unwrap_or(&running);
                print_sizes(&pack::pack(config, &enabled, release, output)?);
            }
        }
        Command::Load => return load_main(),
        Command::Up { config } => {
            if let Some(config) = enabled(config)? {
                if let Some(store) = store::open(&config.load.early.guard)? {
                    guard::came_up(store.as_ref())?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `kdumpkit early load`.
///
/// # Errors
/// It cannot be loaded, which the kernel log has as well.
pub fn load_main() -> Result<ExitCode> {
    let result = load::load();
    load::say(&result);
    let words = match result? {
        Outcome::Loaded(words) | Outcome::Stopped(words) => words,
    };
    let _ = fs::create_dir_all("/run/kdumpkit").and_then(|()| fs::write(SAID, words));
    Ok(ExitCode::SUCCESS)
}

/// The configuration when it enables the early load. Without one nothing is enabled.
fn enabled(path: &Path) -> Result<Option<Config>> {
    if !path.exists() {
        return Ok(None);
    }
    let config = Config::load(path)?;
    Ok(config.load.early.enabled.then_some(config))
}

fn print_sizes(sizes: &pack::Sizes) {
    let total: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    println!("added to the system initramfs, before compression:");
    for (name, bytes) in sizes {
        println!("  {bytes:>10}  {name}");
    }
    println!("  {total:>10}  bytes in all");
}
