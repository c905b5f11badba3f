// SPDX-License-Identifier: GPL-2.0-or-later
//! What was loaded, for the kernel does not tell: kept in /run until the machine restarts.

use super::Plan;
use super::relocatable::Placement;
use crate::atomic;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the record is. Both kinds of system initramfs hand /run on to the system, so the early load's is here as well.
pub const PATH: &str = "/run/kdumpkit/loaded.json";

/// One file at the time of the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its path.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Inode change time in nanoseconds: a package manager sets the modification time back, this one nobody sets.
    pub changed_ns: i128,
}

impl Source {
    /// The file as it is now.
    ///
    /// # Errors
    /// It is not there.
    pub fn now(path: &Path) -> std::io::Result<Self> {
        let meta = fs::metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            bytes: meta.len(),
            changed_ns: i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()),
        })
    }

    /// Is the file still the one that was loaded?
    #[must_use]
    pub fn is_current(&self) -> bool {
        Self::now(&self.path).is_ok_and(|now| now == *self)
    }
}

/// The loaded capture kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The kernel image.
    pub kernel: Source,
    /// Its release, as its header says.
    pub release: Option<String>,
    /// The initramfs.
    pub initramfs: Source,
    /// The command line.
    pub cmdline: String,
    /// Lowest and highest address at which the kernel may have put the image.
    pub addresses: (u64, u64),
    /// Loaded as the first act of the system initramfs.
    pub early: bool,
}

impl Record {
    /// Describes `plan`.
    ///
    /// # Errors
    /// One of its files has gone.
    pub fn of(plan: &Plan, placement: Placement, early: bool) -> Result<Self> {
        let source = |path: &Path| {
            Source::now(path).with_context(|| format!("looking at {}", path.display()))
        };
        Ok(Self {
            kernel: source(&plan.image.path)?,
            release: plan.image.header.release().map(str::to_owned),
            initramfs: source(&plan.initramfs)?,
            cmdline: plan.cmdline.clone(),
            addresses: (placement.lowest, placement.highest),
            early,
        })
    }

    /// The record of what is loaded, if kdumpkit loaded it.
    #[must_use]
    pub fn read() -> Option<Self> {
        serde_json::from_slice(&fs::read(PATH).ok()?).ok()
    }

    /// Keeps it; a reader sees the old or the new one.
    ///
    /// # Errors
    /// /run cannot be written.
    pub fn write(&self) -> Result<()> {
        let path = Path::new(PATH);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        atomic::write(path, &serde_json::to_vec_pretty(self)?)
    }

    /// Forgets it.
    pub fn remove() {
        let _ = fs::remove_file(PATH);
    }
}
