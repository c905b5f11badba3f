// SPDX-License-Identifier: GPL-2.0-or-later
//! Builds an initramfs: kdumpkit as /init, busybox as shell, kernel modules, a role for /init.
//!
//! [`build`] makes the capture initramfs of a configuration, [`Recipe`] any initramfs of a test guest.

mod archive;
mod build;
pub mod closure;
mod command;
pub mod cpio;
pub mod modules;
mod needed;

pub use archive::Part;
pub use build::{Built, MKDFINFO_SYSFS, Sources, build, look_up, pack};
pub use command::{InitramfsArgs, main};
pub use needed::of_watchdogs;

use crate::init::Role;
use anyhow::{Context, Result};
use archive::Archive;
use modules::ModuleTree;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Where /init finds its role.
pub const ROLE_PATH: &str = "/etc/kdumpkit/role.json";
/// Where the capture kernel finds its own kernel's layout and symbols, for `filter -i`.
pub const MKDFINFO_PATH: &str = "/etc/kdumpkit/mkdfinfo";
/// Where the capture kernel finds the private key for ssh targets.
pub const IDENTITY_PATH: &str = "/etc/kdumpkit/identity";
/// Hooks, a folder for each stage.
pub const HOOK_FOLDER: &str = "etc/kdumpkit/hooks";

/// What goes into one initramfs.
#[derive(Debug)]
pub struct Recipe<'a> {
    /// Kernel release the modules are for.
    pub release: &'a str,
    /// The static kdumpkit or kdumpkit-init binary; it becomes /init.
    pub kdumpkit: &'a Path,
    /// A static busybox.
    pub busybox: &'a Path,
    /// The modules of this release.
    pub modules: &'a ModuleTree,
    /// Names of the modules to pack; what they depend on comes along.
    pub module_names: Vec<String>,
    /// What /init is to do.
    pub role: &'a Role,
    /// More files: path inside, file outside.
    pub files: Vec<(String, PathBuf)>,
}

impl Recipe<'_> {
    /// Writes the (uncompressed) archive to `path`.
    ///
    /// Uncompressed on purpose: a packed archive and its unpacked copy would have to fit into the crash kernel's
    /// memory together (measured: 104M against 112M of crashkernel).
    pub fn write(&self, path: &Path) -> Result<()> {
        self.write_inner(path)
            .with_context(|| format!("building the initramfs {}", path.display()))
    }

    fn write_inner(&self, path: &Path) -> Result<()> {
        let mut archive = Archive::new()?;
        archive.file("init", 0o755, &read(self.kdumpkit)?, "kdumpkit")?;
        archive.file("usr/bin/busybox", 0o755, &read(self.busybox)?, "shell")?;
        for applet in ["sh", "modprobe", "rmmod"] {
            archive.symlink(&format!("usr/bin/{applet}"), "busybox")?;
        }
        let role = serde_json::to_vec_pretty(self.role)?;
        archive.file(ROLE_PATH, 0o644, &role, "role")?;
        let names = self.module_names.iter().map(String::as_str);
        archive.modules(self.release, &self.modules.resolve(names)?, |_| None)?;
        for (inside, outside) in &self.files {
            archive.file(inside, 0o755, &read(outside)?, "file")?;
        }
        let (image, _) = archive.finish()?;
        fs::write(path, image)?;
        Ok(())
    }
}

/// Adds one file to a finished initramfs, compressed or not: the kernel unpacks archives that follow each other. A file
/// of the same name in an earlier archive is replaced.
///
/// # Errors
/// The initramfs cannot be written to.
pub fn append(initramfs: &Path, inside: &str, data: &[u8]) -> Result<()> {
    let write = || {
        let mut file = File::options().append(true).open(initramfs)?;
        // The kernel looks for the next archive at multiples of four.
        let missing = (4 - file.metadata()?.len() % 4) % 4;
        file.write_all(&[0; 3][..missing as usize])?;
        let mut archive = cpio::Writer::new(BufWriter::new(file));
        archive.file(inside, 0o600, data)?;
        archive.finish()
    };
    write().with_context(|| format!("adding {inside} to {}", initramfs.display()))?;
    Ok(())
}

/// The program that becomes /init: kdumpkit-init, which is installed in ../lib/kdumpkit and built beside this one. Where
/// it is missing, this program itself, which does all that and more, and is three times as large.
///
/// # Errors
/// This program's own file cannot be found.
pub fn init_program() -> Result<PathBuf> {
    const NAME: &str = "kdumpkit-init";
    let own = std::env::current_exe().context("finding this program's own file")?;
    let folder = own.parent().unwrap_or(Path::new("/"));
    let places = [folder.join(NAME), folder.join("../lib/kdumpkit").join(NAME)];
    Ok(places.into_iter().find(|p| p.exists()).unwrap_or(own))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}
