// SPDX-License-Identifier: GPL-2.0-or-later
//! The source tree this kdumpkit is tested from: its scripts, its build root, its kernels and built modules.

use crate::initramfs::modules::ModuleTree;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A checkout of the project.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
}

/// A stock kernel prepared by scripts/kdir.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// `uname -r` of it.
    pub release: String,
    folder: PathBuf,
    built: PathBuf,
}

impl Tree {
    /// Finds the tree from `$KDUMPKIT_TREE`, the current folder or the place of this program.
    pub fn find() -> Result<Self> {
        let places = [
            std::env::var_os("KDUMPKIT_TREE").map(PathBuf::from),
            std::env::current_dir().ok(),
            std::env::current_exe().ok(),
        ];
        for place in places.iter().flatten() {
            for folder in place.ancestors() {
                if folder.join("scripts/in-buildroot").exists() {
                    return Ok(Self {
                        root: folder.to_owned(),
                    });
                }
            }
        }
        bail!("no kdumpkit source tree here: run this inside one or set KDUMPKIT_TREE to one")
    }

    /// A path inside the tree.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The command `program`, run inside the build root.
    #[must_use]
    pub fn in_buildroot(&self, program: &str) -> Command {
        let mut command = Command::new(self.path("scripts/in-buildroot"));
        command.arg(program);
        command
    }

    /// Runs a program of the build root in `folder`; what it printed.
    ///
    /// # Errors
    /// It cannot be started, or fails; its words are in the error.
    pub fn run(&self, folder: &Path, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.in_buildroot(program);
        let output = command
            .current_dir(folder)
            .args(arguments)
            .output()
            .with_context(|| format!("starting {program}"))?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{program} {arguments:?} ended with {}: {}",
            output.status,
            words.trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Folder of the build root; makes it when it is not there.
    pub fn buildroot(&self) -> Result<PathBuf> {
        self.script("buildroot", None).map(PathBuf::from)
    }

    /// The newest kernel on offer that `wanted` is a prefix of (any 7.x without it); prepares it when needed.
    pub fn kernel(&self, wanted: Option<&str>) -> Result<Kernel> {
        let folder = PathBuf::from(self.script("kdir", wanted.map(|w| ("KVER", w)))?);
        let release = std::fs::read_to_string(folder.join("release"))
            .with_context(|| format!("reading the release of {}", folder.display()))?;
        let release = release.trim().to_owned();
        Ok(Kernel {
            built: self.path("build").join(&release),
            release,
            folder,
        })
    }

    fn script(&self, name: &str, variable: Option<(&str, &str)>) -> Result<String> {
        let mut command = Command::new(self.path("scripts").join(name));
        command
            .envs(variable)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let output = command
            .output()
            .with_context(|| format!("starting scripts/{name}"))?;
        ensure!(
            output.status.success(),
            "scripts/{name} failed ({})",
            output.status
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

impl Kernel {
    /// The bzImage.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The distribution's modules of this kernel, with ours on top.
    pub fn modules(&self) -> Result<ModuleTree> {
        let mut tree = self.stock_modules()?;
        tree.overlay(&self.built)?;
        Ok(tree)
    }

    /// The distribution's modules alone.
    pub fn stock_modules(&self) -> Result<ModuleTree> {
        ModuleTree::open(&self.stock_folder())
    }

    /// The distribution's `/lib/modules/RELEASE`.
    #[must_use]
    pub fn stock_folder(&self) -> PathBuf {
        self.folder.join("stock/lib/modules").join(&self.release)
    }

    /// Where `make modules` has put our modules for this kernel.
    #[must_use]
    pub fn built(&self) -> &Path {
        &self.built
    }
}
