// SPDX-License-Identifier: GPL-2.0-or-later
//! Guests for these tests: the stock kernel with its image in /boot, a script in the first kernel, and one in the capture
//! kernel when the first crashes.

use anyhow::{Context, Result, ensure};
use kdumpkit::init::{GuestRole, Role};
use kdumpkit::initramfs::Recipe;
use kdumpkit::tree::{Kernel, Tree};
use kdumpkit::vm::{Accel, Machine};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For both scripts.
const FUNCTIONS: &str =
    "set -u\nkdumpkit() { /init \"$@\"; }\nb() { busybox \"$@\"; }\nRELEASE=$(busybox uname -r)\n";

/// What the guests of one test share.
pub struct Bench {
    pub tree: Tree,
    pub kernel: Kernel,
    /// Everything of the test is in here; it stays when the test fails.
    pub folder: PathBuf,
    pub accel: Accel,
}

/// A guest to boot.
pub struct Guest<'a> {
    pub cmdline: &'a str,
    pub memory_mib: u32,
    /// Modules in both initramfses.
    pub modules: &'a [&'a str],
    /// Runs in the first kernel.
    pub script: String,
    /// Runs in the capture kernel, whose initramfs is /capture.initramfs.
    pub capture: String,
    /// More files for the first kernel's initramfs: path inside, file outside.
    pub files: Vec<(String, PathBuf)>,
    /// Raw images that appear as /dev/vda, …
    pub disks: Vec<PathBuf>,
}

impl Default for Guest<'_> {
    fn default() -> Self {
        Self {
            cmdline: "crashkernel=192M",
            memory_mib: 1024,
            modules: &[],
            script: String::new(),
            capture: String::new(),
            files: Vec::new(),
            disks: Vec::new(),
        }
    }
}

impl Bench {
    /// `name` names the folder.
    pub fn new(name: &str) -> Result<Self> {
        let tree = Tree::find()?;
        let kernel = tree.kernel(std::env::var("KVER").ok().as_deref())?;
        let runs = tree.path("build/runs");
        let folder = runs.join(format!("load-{name}"));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let accel = Accel::probe(&tree, &kernel, kdumpkit(), &runs)?;
        Ok(Self {
            tree,
            kernel,
            folder,
            accel,
        })
    }

    /// Runs a program of the build root in the folder.
    pub fn run_tool(&self, program: &str, arguments: &[&str]) -> Result<()> {
        self.tree.run(&self.folder, program, arguments).map(drop)
    }

    /// Boots `guest` to its end; the last script must have ended with 0. What it printed.
    pub fn run(&self, guest: &Guest) -> Result<String> {
        let capture = self.folder.join("capture.initramfs");
        let initramfs = self.folder.join("guest.initramfs");
        write_script_initramfs(self, &capture, guest.modules, &guest.capture, Vec::new())?;
        let mut files = guest.files.clone();
        let boot = format!("boot/vmlinuz-{}", self.kernel.release);
        files.push((boot, self.kernel.image()));
        files.push(("capture.initramfs".into(), capture));
        write_script_initramfs(self, &initramfs, guest.modules, &guest.script, files)?;
        let mut machine = Machine::new(
            &self.tree,
            self.accel,
            self.kernel.image(),
            initramfs,
            self.folder.clone(),
        );
        machine.cmdline = guest.cmdline.to_owned();
        machine.memory_mib = guest.memory_mib;
        machine.disks = guest.disks.clone();
        machine.deadline = Duration::from_secs(240);
        let heard = machine.listen()?;
        let said = heard.script().map(str::to_owned);
        said.with_context(|| format!("see {}", self.folder.display()))
    }

    /// Removes the folder.
    pub fn done(self) -> Result<()> {
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("removing {}", self.folder.display()))
    }
}

/// An initramfs whose /init runs `script`.
pub fn write_script_initramfs(
    bench: &Bench,
    path: &Path,
    modules: &[&str],
    script: &str,
    files: Vec<(String, PathBuf)>,
) -> Result<()> {
    let role = Role::Guest(GuestRole {
        script: Some(format!("{FUNCTIONS}{script}")),
        ..GuestRole::default()
    });
    write_initramfs(bench, path, modules, &role, files)
}

/// An initramfs whose /init plays `role`.
pub fn write_initramfs(
    bench: &Bench,
    path: &Path,
    modules: &[&str],
    role: &Role,
    files: Vec<(String, PathBuf)>,
) -> Result<()> {
    let init = match role {
        Role::Capture(_) => Path::new(env!("CARGO_BIN_EXE_kdumpkit-init")),
        Role::Guest(_) => kdumpkit(),
    };
    Recipe {
        release: &bench.kernel.release,
        kdumpkit: init,
        busybox: &bench.tree.buildroot()?.join("usr/bin/busybox"),
        modules: &bench.kernel.modules()?,
        module_names: modules.iter().map(|m| (*m).to_owned()).collect(),
        role,
        files,
    }
    .write(path)
}

/// The program under test.
pub fn kdumpkit() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kdumpkit"))
}

/// The rest of the only line of `text` that begins with `words`.
pub fn line<'t>(text: &'t str, words: &str) -> Result<&'t str> {
    let mut found = text
        .lines()
        .filter_map(|l| l.trim_start().strip_prefix(words));
    let first = found
        .next()
        .with_context(|| format!("no line begins with {words:?}:\n{text}"))?;
    ensure!(found.next().is_none(), "{words:?} is there twice:\n{text}");
    Ok(first.trim())
}
