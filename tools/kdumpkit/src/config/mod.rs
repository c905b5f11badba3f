// SPDX-License-Identifier: GPL-2.0-or-later
//! The configuration: what the capture kernel does, one TOML file for builder, loader and /init.
//!
//! [`file`] is the file as a person writes it, with line numbers for its errors; [`Config`] is what it means, checked once.
//! The initramfs carries the checked form (as JSON), so the capture kernel has nothing to find wrong.

mod check;
mod error;
mod file;
mod network;
mod target;

pub use check::{ConfigArgs, main};
pub use error::ConfigError;
pub use network::{Ipv4, Ipv6, Network};
pub use target::{FileSystem, Kind, Nfs, Raw, Save, Ssh, Target, When};

use crate::load::config::LoadConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where the commands look when they are not told otherwise.
pub const DEFAULT_PATH: &str = "/etc/kdumpkit/kdumpkit.toml";

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where dumps go, in this order.
    pub targets: Vec<Target>,
    /// How the capture kernel reaches the network; there when a target needs it.
    pub network: Option<Network>,
    /// Arguments of `kdumpkit filter` before the file names.
    pub filter: Vec<String>,
    /// When no target has what it was to save. [`Action::Next`] goes on to the final action.
    pub failure_action: Action,
    /// When at least one target has it.
    pub final_action: Action,
    /// What the initramfs holds.
    pub initramfs: Initramfs,
    /// Scripts around the dump.
    pub hooks: Hooks,
    /// What is loaded, and how.
    pub load: LoadConfig,
}

/// What to do when something has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Go on with what comes next.
    Next,
    /// A shell on the console; when it ends, the machine reboots.
    Shell,
    /// Reboot.
    Reboot,
    /// Power off.
    Poweroff,
    /// Stop the CPUs and leave the console as it is.
    Halt,
}

/// What the initramfs holds, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initramfs {
    /// The modules that the targets need.
    pub modules: Modules,
    /// More modules.
    pub extra_modules: Vec<String>,
    /// A static busybox.
    pub busybox: PathBuf,
    /// How the archive is packed.
    pub compression: Compression,
}

impl Default for Initramfs {
    fn default() -> Self {
        Self {
            modules: Modules::default(),
            extra_modules: Vec::new(),
            busybox: "/bin/busybox".into(),
            compression: Compression::default(),
        }
    }
}

/// How the modules are chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Modules {
    /// What drives the targets' devices on the machine that builds.
    #[default]
    Auto,
    /// These, in this order, and what they depend on.
    List(Vec<String>),
}

/// How the archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all: needs less crashkernel memory, because no packed copy lies beside the unpacked one.
    #[default]
    None,
    /// zstd: less on the disk and in the system's own initramfs.
    Zstd,
}

/// Scripts (for busybox sh) or static programs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// Before the first target.
    pub pre: Vec<PathBuf>,
    /// After the last one.
    pub post: Vec<PathBuf>,
    /// How long each may take, in seconds.
    pub deadline_s: u64,
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// The first thing that is wrong: line, key, what was there, what is valid.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a configuration file; `path` is for the messages.
    ///
    /// # Errors
    /// See [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        file::parse(text).map_err(|problem| problem.at(path, text))
    }

    /// Whether a target is reached through the network.
    #[must_use]
    pub fn needs_network(&self) -> bool {
        self.targets.iter().any(|t| t.kind.needs_network())
    }
}

#[cfg(test)]
mod tests;
