// SPDX-License-Identifier: GPL-2.0-or-later
//! The capture kernel: /proc/vmcore to the configured targets, so that nothing half-written looks whole.
//!
//! PID 1 only decides and waits. Each try runs in a process of its own ([`attempt`]), which has a deadline, may run out of
//! memory, and takes its mounts with it when it ends.

mod attempt;
mod collect;
mod folder;
mod hooks;
mod network;
mod sequence;
mod ssh;
mod summary;

pub use attempt::{AttemptArgs, main as attempt_main};
pub use collect::Collector;
pub use network::as_udhcpc_script;

use super::report::Reporter;
use super::{modules, system};
use crate::config::{Action, Config, Hooks, Initramfs, Kind, Target};
use crate::config::{FileSystem, Save, When};
use crate::estimate::probe;
use crate::event::Event;
use anyhow::{Result, ensure};
use collect::VMCORE;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The module that quiets devices.
pub const RESET_MODULE: &str = "reset_devices";

/// What the capture kernel does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureRole {
    /// The configuration.
    pub config: Config,
    /// Modules to load, in this order.
    pub modules: Vec<String>,
    /// Name of the machine, for folders on servers.
    pub hostname: String,
    /// What writes the dump.
    pub collector: Collector,
    /// Never come back: shows that a runner notices a capture kernel that hangs.
    #[serde(default)]
    pub hang: bool,
}

impl CaptureRole {
    /// The role that a configuration asks for.
    #[must_use]
    pub fn new(config: Config, modules: Vec<String>, hostname: String) -> Self {
        let collector = Collector::Filter {
            arguments: config.filter.clone(),
        };
        Self {
            config,
            modules,
            hostname,
            collector,
            hang: false,
        }
    }

    /// One file system as target and power-off afterwards, whatever happened: what a test guest wants.
    #[must_use]
    pub fn one_disk(device: &str, fstype: &str, folder: &str, modules: Vec<String>) -> Self {
        let target = Target {
            kind: Kind::Filesystem(FileSystem {
                device: device.to_owned(),
                fstype: Some(fstype.to_owned()),
                options: String::new(),
                path: folder.to_owned(),
            }),
            save: Save::Dump,
            when: When::Always,
            deadline_s: 600,
            retries: 0,
            failure_action: Action::Next,
        };
        let config = Config {
            targets: vec![target],
            network: None,
            filter: ["-z", "-d", "31"].map(String::from).to_vec(),
            failure_action: Action::Poweroff,
            final_action: Action::Poweroff,
            initramfs: Initramfs::default(),
            hooks: Hooks::default(),
            load: Default::default(),
        };
        Self::new(config, modules, "guest".to_owned())
    }
}

/// Saves what can be saved, reports it, says how the machine is to end.
pub fn run(role: &CaptureRole, reporter: &mut Reporter) -> Result<Action> {
    // Without this the reason why a capture failed would never reach the console (it was booted with quiet).
    system::sysctl("kernel.printk", "7")?;
    ensure!(
        Path::new(VMCORE).exists(),
        "{VMCORE} is missing: this is not a capture kernel"
    );
    probe::start();
    quiet_devices();
    for name in &role.modules {
        // A target that needs it will say so; the others must have their turn.
        if let Err(error) = modules::load_all(std::slice::from_ref(name)) {
            reporter.send(&Event::Trouble {
                what: format!("{error:#}"),
            });
        }
    }
    if role.hang {
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
    if system::parameter("kdumpkit.shell") {
        system::shell("kdumpkit.shell is on the command line; the dump follows when it ends");
    }
    hooks::run(&role.config.hooks, "pre", &[], reporter);
    let action = sequence::run(role, reporter);
    reporter.send(&Event::Action { action });
    Ok(action)
}

/// Before the first driver is loaded. Through modprobe, because that passes `reset_devices.skip=` and the like of the
/// kernel's command line on. A dump from a machine with loud devices is better than none: failing is no error.
fn quiet_devices() {
    let status = Command::new("/bin/busybox")
        .args(["modprobe", RESET_MODULE])
        .status();
    if !status.is_ok_and(|s| s.success()) {
        eprintln!(
            "kdumpkit init: {RESET_MODULE} is not loaded, devices may go on writing to memory"
        );
    }
}
