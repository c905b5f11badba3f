// SPDX-License-Identifier: GPL-2.0-or-later
//! The `[load]` section of the configuration.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the capture initramfs is kept, a folder for each kernel release.
pub const STATE_FOLDER: &str = "/var/lib/kdumpkit";

/// Which kernel is loaded, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadConfig {
    /// Kernel image; without it the running kernel's own.
    pub kernel: Option<PathBuf>,
    /// Initramfs made by other means; without it kdumpkit builds its own in [`STATE_FOLDER`].
    pub initramfs: Option<PathBuf>,
    /// The whole command line; without it one is made from the running kernel's.
    pub cmdline: Option<String>,
    /// Parameters of the running kernel to leave out; `name.` and `name_` stand for all that begin so.
    pub remove: Vec<String>,
    /// More for the end of the command line.
    pub append: String,
    /// The early load.
    pub early: EarlyConfig,
}

impl LoadConfig {
    /// The capture kernel's command line, on a machine that runs with `running`.
    #[must_use]
    pub fn cmdline(&self, running: &str) -> String {
        match &self.cmdline {
            Some(line) => line.clone(),
            None => super::cmdline::capture(running, &self.remove, &self.append),
        }
    }

    /// The initramfs for kernel `release`.
    #[must_use]
    pub fn initramfs_path(&self, release: &str) -> PathBuf {
        match &self.initramfs {
            Some(path) => path.clone(),
            None => PathBuf::from(STATE_FOLDER)
                .join(release)
                .join("capture.initramfs"),
        }
    }
}

/// The `[load.early]` section: loading as the first act of the system initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyConfig {
    /// Put the capture kernel into the system initramfs.
    pub enabled: bool,
    /// After this many boots in a row that loaded early and never came up, the next one does not load early.
    pub limit: u32,
    /// Where the boots are counted.
    pub guard: Guard,
}

impl Default for EarlyConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            limit: 3,
            guard: Guard::Auto,
        }
    }
}

/// Where the crash-loop guard counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// An EFI variable when the firmware has them, otherwise nowhere.
    #[default]
    Auto,
    /// An EFI variable.
    Efi,
    /// The first 512 bytes of a block device (`/dev/vda3`), whose driver the hooks put into the system initramfs.
    Device(PathBuf),
    /// Nowhere: a machine that crashes early crashes for ever.
    Off,
}
