// SPDX-License-Identifier: GPL-2.0-or-later
//! Scripts and programs of the configuration, before the first and after the last target.

use crate::config::Hooks;
use crate::event::Event;
use crate::init::report::Reporter;
use crate::init::system;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The dump matters more than a hook and what it leaves running: when memory runs out, those are what the kernel kills first.
const FIRST_TO_GO: &str = r#"echo 1000 >/proc/self/oom_score_adj; exec "$@""#;

/// Runs what the builder has packed for `stage` (pre, post), in order. A hook that fails is said, no more: the dump matters.
pub fn run(hooks: &Hooks, stage: &str, arguments: &[&str], reporter: &mut Reporter) {
    let deadline = Duration::from_secs(hooks.deadline_s.max(1));
    for hook in packed(stage) {
        let mut command = Command::new("/bin/busybox");
        command.args(["sh", "-c", FIRST_TO_GO, "sh"]);
        if !is_elf(&hook) {
            command.args(["/bin/busybox", "sh"]);
        }
        command.arg(&hook).args(arguments).env("PATH", "/bin");
        if let Err(error) = system::run_within(&mut command, deadline) {
            reporter.send(&Event::Trouble {
                what: format!("hook {}: {error:#}", hook.display()),
            });
        }
    }
}

fn packed(stage: &str) -> Vec<PathBuf> {
    let folder = Path::new("/")
        .join(crate::initramfs::HOOK_FOLDER)
        .join(stage);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    paths.sort();
    paths
}

fn is_elf(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF"))
}
