// SPDX-License-Identifier: GPL-2.0-or-later
//! Guests for these tests: the stock kernel with its image in /boot, a script in the first kernel, and one in the capture
//! kernel when the first crashes.

use anyhow::{Context, Result, ensure};
use kdumpkit::init::{CaptureRole, GuestRole, Role};
use kdumpkit::vm::Lab;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For both scripts.
const FUNCTIONS: &str =
    "set -u\nkdumpkit() { /init \"$@\"; }\nb() { busybox \"$@\"; }\nRELEASE=$(busybox uname -r)\n";

/// What the guests of one test share.
pub struct Bench {
    pub lab: Lab,
    /// Everything of the test is in here; it stays when the test fails.
    pub folder: PathBuf,
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
        let lab = Lab::from_env(kdumpkit())?;
        let folder = lab.folder(&format!("load-{name}"))?;
        Ok(Self { lab, folder })
    }

    /// Runs a program of the build root in the folder.
    pub fn run_tool(&self, program: &str, arguments: &[&str]) -> Result<()> {
        self.lab
            .tree
            .run(&self.folder, program, arguments)
            .map(drop)
    }

    /// Boots `guest` to its end; the last script must have ended with 0. What it printed.
    pub fn run(&self, guest: &Guest) -> Result<String> {
        let capture = self.folder.join("capture.initramfs");
        let initramfs = self.folder.join("guest.initramfs");
        write_script_initramfs(self, &capture, guest.modules, &guest.capture, Vec::new())?;
        let mut files = guest.files.clone();
        files.push(self.boot_image());
        files.push(("capture.initramfs".into(), capture));
        write_script_initramfs(self, &initramfs, guest.modules, &guest.script, files)?;
        let mut machine = self.lab.machine(initramfs, &self.folder);
        machine.cmdline = guest.cmdline.to_owned();
        machine.memory_mib = guest.memory_mib;
        machine.disks = guest.disks.clone();
        machine.deadline = Duration::from_secs(240);
        let heard = machine.listen()?;
        let said = heard.script().map(str::to_owned);
        said.with_context(|| format!("see {}", self.folder.display()))
    }

    /// The kernel where `kdumpkit load` looks for it: path inside, file outside.
    pub fn boot_image(&self) -> (String, PathBuf) {
        let kernel = &self.lab.kernel;
        (format!("boot/vmlinuz-{}", kernel.release), kernel.image())
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
    bench.lab.write_initramfs(path, &role, modules, files)
}

/// An initramfs for the capture kernel that leaves its dump below `folder` on /dev/vda.
pub fn write_capture_initramfs(bench: &Bench, path: &Path, folder: &str) -> Result<()> {
    let init = Path::new(env!("CARGO_BIN_EXE_kdumpkit-init"));
    let drivers = ["virtio_blk", "ext4"];
    let modules = drivers.map(String::from).to_vec();
    let role = CaptureRole::one_disk("/dev/vda", "ext4", folder, modules);
    let role = Role::Capture(Box::new(role));
    bench
        .lab
        .write_initramfs_of(init, path, &role, &drivers, Vec::new())
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
