// SPDX-License-Identifier: GPL-2.0-or-later
//! kdumpkit as PID 1: in the capture kernel (writes the dump) and in the first kernel of a test guest.
//!
//! There is no generated script: the role file of the initramfs says what to do, this code does it.

pub mod capture;
mod guest;
mod load;
mod modules;
mod report;
mod system;

pub use capture::{CaptureRole, Collector, RESET_MODULE};
pub use guest::{CaptureImage, GuestRole};
pub use load::{Load, start as start_loads};

use crate::config::Action;
use crate::event::{Event, Stage};
use crate::initramfs::ROLE_PATH;
use anyhow::{Context, Result, bail};
use report::Reporter;
use serde::{Deserialize, Serialize};
use std::fs;

/// What /init is to do, from [`ROLE_PATH`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Role {
    /// First kernel of a test guest: load the capture kernel, arm lkdtm, make load.
    Guest(GuestRole),
    /// Capture kernel: write the dump.
    Capture(Box<CaptureRole>),
}

impl Role {
    fn stage(&self) -> Stage {
        match self {
            Role::Guest(_) => Stage::First,
            Role::Capture(_) => Stage::Capture,
        }
    }
}

/// Runs as PID 1. Ends the machine whatever happens; a failure is said on the console and on the event port.
pub fn main() -> ! {
    if let Err(error) = system::mount_basics() {
        eprintln!("kdumpkit init: {error:#}");
    }
    let action = match read_role() {
        Ok(role) => run(&role),
        Err(error) => {
            eprintln!("kdumpkit init: {error:#}; rebooting");
            Action::Reboot
        }
    };
    system::end_machine(action)
}

fn read_role() -> Result<Role> {
    let text = fs::read(ROLE_PATH).with_context(|| format!("reading {ROLE_PATH}"))?;
    serde_json::from_slice(&text).with_context(|| format!("understanding {ROLE_PATH}"))
}

fn read_capture_role() -> Result<CaptureRole> {
    match read_role()? {
        Role::Capture(role) => Ok(*role),
        Role::Guest(_) => bail!("this is no capture initramfs"),
    }
}

fn run(role: &Role) -> Action {
    let stage = role.stage();
    let mut reporter = Reporter::open();
    reporter.send(&Event::Boot {
        stage,
        release: system::release(),
        uptime_ms: system::uptime_ms(),
    });
    let (result, otherwise) = match role {
        Role::Guest(role) => {
            let result = guest::run(role, &mut reporter).map(|()| Action::Poweroff);
            (result, Action::Poweroff)
        }
        Role::Capture(role) => {
            let otherwise = match role.config.failure_action {
                Action::Next => role.config.final_action,
                action => action,
            };
            (capture::run(role, &mut reporter), otherwise)
        }
    };
    let action = result.unwrap_or_else(|error| {
        reporter.send(&Event::Failed {
            stage,
            error: format!("{error:#}"),
        });
        otherwise
    });
    reporter.send(&Event::Bye { stage });
    action
}
