// SPDX-License-Identifier: GPL-2.0-or-later
//! What guests of one kernel on this machine have in common, and how one is put together.

use super::{Accel, Machine};
use crate::init::{CaptureImage, Role};
use crate::initramfs::Recipe;
use crate::initramfs::modules::ModuleTree;
use crate::tree::{Kernel, Tree};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Where runs leave what is to be looked at.
const RUNS: &str = "build/runs";
/// The capture kernel and its initramfs inside the first kernel's.
const CAPTURE: [&str; 2] = ["capture/vmlinuz", "capture/initramfs"];

/// What guests of one kernel on this machine have in common.
#[derive(Debug)]
pub struct Lab {
    /// The source tree.
    pub tree: Tree,
    /// The kernel that is booted, and that captures.
    pub kernel: Kernel,
    /// The kernel's modules, the distribution's and ours.
    pub modules: ModuleTree,
    /// KVM or TCG.
    pub accel: Accel,
    /// The static program that becomes /init.
    kdumpkit: PathBuf,
}

impl Lab {
    /// For the kernel that `wanted` chooses ([`Tree::kernel`]), with `kdumpkit` as /init.
    ///
    /// # Errors
    /// The kernel or our modules are missing and cannot be had; KVM cannot be probed.
    pub fn new(tree: &Tree, wanted: Option<&str>, kdumpkit: &Path) -> Result<Self> {
        let kernel = tree.kernel(wanted)?;
        let runs = tree.path(RUNS);
        fs::create_dir_all(&runs).with_context(|| format!("making {}", runs.display()))?;
        Ok(Self {
            modules: kernel.modules()?,
            accel: Accel::probe(tree, &kernel, kdumpkit, &runs)?,
            tree: tree.clone(),
            kernel,
            kdumpkit: kdumpkit.to_owned(),
        })
    }

    /// The same in the source tree around this program, for the kernel that `KVER` in the environment chooses.
    ///
    /// # Errors
    /// As [`Lab::new`]; there is no source tree.
    pub fn from_env(kdumpkit: &Path) -> Result<Self> {
        let wanted = std::env::var("KVER").ok();
        Self::new(&Tree::find()?, wanted.as_deref(), kdumpkit)
    }

    /// A new folder for the run `name`, in the place of an earlier one.
    ///
    /// # Errors
    /// The earlier one cannot be removed, or the new one not be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.tree.path(RUNS).join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("removing {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }

    /// The build root's static busybox.
    ///
    /// # Errors
    /// There is no build root and none can be made.
    pub fn busybox(&self) -> Result<PathBuf> {
        Ok(self.tree.buildroot()?.join("usr/bin/busybox"))
    }

    /// Writes an initramfs whose /init plays `role`, with these modules and more `files` (path inside, file outside).
    ///
    /// # Errors
    /// As [`Recipe::write`].
    pub fn write_initramfs(
        &self,
        path: &Path,
        role: &Role,
        modules: &[impl AsRef<str>],
        files: Vec<(String, PathBuf)>,
    ) -> Result<()> {
        self.write_initramfs_of(&self.kdumpkit, path, role, modules, files)
    }

    /// The same with another program as /init.
    ///
    /// # Errors
    /// As [`Recipe::write`].
    pub fn write_initramfs_of(
        &self,
        init: &Path,
        path: &Path,
        role: &Role,
        modules: &[impl AsRef<str>],
        files: Vec<(String, PathBuf)>,
    ) -> Result<()> {
        let names = modules.iter().map(|name| name.as_ref().to_owned());
        let recipe = Recipe {
            release: &self.kernel.release,
            kdumpkit: init,
            busybox: &self.busybox()?,
            modules: &self.modules,
            module_names: names.collect(),
            role,
            files,
        };
        recipe.write(path)
    }

    /// This kernel as capture kernel with `initramfs`: what the first kernel's role says of it, and the files that it needs.
    #[must_use]
    pub fn capture(
        &self,
        initramfs: &Path,
        cmdline: &str,
        mkdfinfo: bool,
    ) -> (CaptureImage, Vec<(String, PathBuf)>) {
        let [kernel, inside] = CAPTURE;
        let image = CaptureImage {
            kernel: format!("/{kernel}"),
            initramfs: format!("/{inside}"),
            cmdline: super::capture_cmdline(cmdline),
            mkdfinfo,
        };
        let files = vec![
            (kernel.to_owned(), self.kernel.image()),
            (inside.to_owned(), initramfs.to_owned()),
        ];
        (image, files)
    }

    /// A guest that boots this kernel with `initramfs`, and leaves what it says in `folder`.
    #[must_use]
    pub fn machine(&self, initramfs: PathBuf, folder: &Path) -> Machine<'_> {
        Machine::new(
            &self.tree,
            self.accel,
            self.kernel.image(),
            initramfs,
            folder.to_owned(),
        )
    }
}
