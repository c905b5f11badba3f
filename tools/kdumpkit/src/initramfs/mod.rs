// SPDX-License-Identifier: GPL-2.0-or-later
//! Builds an initramfs: kdumpkit as /init, busybox as shell, kernel modules, a role for /init.

pub mod closure;
pub mod cpio;
pub mod modules;

use crate::init::Role;
use anyhow::{Context, Result};
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
/// The modules, one uncompressed file each.
const MODULE_FOLDER: &str = "usr/lib/modules";

/// What goes into one initramfs.
#[derive(Debug)]
pub struct Recipe<'a> {
    /// Kernel release the modules are for.
    pub release: &'a str,
    /// The static kdumpkit binary; it becomes /init.
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
        let mut archive = cpio::Writer::new(BufWriter::new(File::create(path)?));
        for dir in [
            "dev", "proc", "sys", "run", "tmp", "mnt", "usr/bin", "usr/lib",
        ] {
            archive.dir(dir)?;
        }
        for (link, target) in [
            ("bin", "usr/bin"),
            ("sbin", "usr/bin"),
            ("lib", "usr/lib"),
            ("lib64", "usr/lib"),
        ] {
            archive.symlink(link, target)?;
        }
        // The kernel opens /dev/console for /init before devtmpfs is mounted.
        archive.char_device("dev/console", 5, 1)?;
        archive.file("init", 0o755, &read(self.kdumpkit)?)?;
        archive.file("usr/bin/busybox", 0o755, &read(self.busybox)?)?;
        for applet in ["sh", "modprobe", "rmmod"] {
            archive.symlink(&format!("usr/bin/{applet}"), "busybox")?;
        }
        archive.file(ROLE_PATH, 0o644, &serde_json::to_vec_pretty(self.role)?)?;
        self.write_modules(&mut archive)?;
        for (inside, outside) in &self.files {
            archive.file(inside, 0o755, &read(outside)?)?;
        }
        archive.finish()?;
        Ok(())
    }

    /// Packs the modules with a modules.dep of their own, so that the initramfs's modprobe works.
    fn write_modules<W: std::io::Write>(&self, archive: &mut cpio::Writer<W>) -> Result<()> {
        let folder = format!("{MODULE_FOLDER}/{}", self.release);
        let mut dep = String::new();
        let modules = self
            .modules
            .resolve(self.module_names.iter().map(String::as_str))?;
        for module in &modules {
            archive.file(
                &format!("{folder}/{}.ko", module.name),
                0o644,
                &module.image,
            )?;
            let packed = |d: &&String| modules.iter().any(|m| m.name == **d);
            let depends: Vec<String> = module
                .depends
                .iter()
                .filter(packed)
                .map(|d| format!(" {d}.ko"))
                .collect();
            dep.push_str(&format!("{}.ko:{}\n", module.name, depends.concat()));
        }
        archive.file(&format!("{folder}/modules.dep"), 0o644, dep.as_bytes())?;
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

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}
