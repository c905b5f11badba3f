// SPDX-License-Identifier: GPL-2.0-or-later
//! What the master must remember over a crash. One small file, written whole or not at all.

use crate::atomic;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What was going on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The scenario that is about to crash the machine, or has.
    pub crashing: Option<Crashing>,
    /// Why nothing is run any more.
    pub stopped: Option<String>,
}

/// A scenario that is about to crash the machine, or has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crashing {
    /// Its id in the journal.
    pub cell: String,
    /// From 1.
    pub attempt: u32,
    /// The boot in which it is to crash.
    pub boot_id: String,
    /// When it was armed.
    pub at: jiff::Timestamp,
    /// Dumps that were there before.
    pub dumps_before: Vec<PathBuf>,
}

/// Where the state is.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// The store in the state folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Self {
            path: folder.join("state.json"),
        })
    }

    /// The state; the default one when none was written yet.
    ///
    /// # Errors
    /// It cannot be read or is of another version.
    pub fn read(&self) -> Result<State> {
        if !self.path.exists() {
            return Ok(State::default());
        }
        let text =
            fs::read(&self.path).with_context(|| format!("reading {}", self.path.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("understanding {}", self.path.display()))
    }

    /// Makes a state durable.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, state: &State) -> Result<()> {
        atomic::write(&self.path, &serde_json::to_vec_pretty(state)?)
    }
}

/// Changes with every boot.
#[must_use]
pub fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}
