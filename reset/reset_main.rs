// SPDX-License-Identifier: GPL-2.0

//! reset_devices.ko: quiets every PCI device before the capture kernel loads its first driver.
//!
//! Acts once, when it is loaded. Try it in a guest, without a crash: `insmod reset_devices.ko force=1 dry_run=1`, then
//! `cat /sys/kernel/reset_devices/devices`. Documentation/reset_devices.rst has the rules.
//!
//! Rooms, in the order of the work:
//!
//! - [`params`]: what `skip=`, `only=` and `methods=` mean.
//! - [`snapshot`]: the machine as it is → [`topology`].
//! - [`plan`]: which function is reset, how, and why not otherwise.
//! - [`sequence`] and [`wait`]: in which order, and how long; [`apply`] is its hand on the hardware.
//! - [`report`] and [`results`]: dmesg and /sys/kernel/reset_devices.
//!
//! All but apply, results and snapshot is pure and compiled for the host as well, where it is tested (tools/modlogic):
//! hence the `pub` items in them.

use kernel::prelude::*;

mod apply;
#[allow(unreachable_pub)]
mod params;
#[allow(unreachable_pub)]
mod plan;
#[allow(unreachable_pub)]
mod report;
mod results;
#[allow(unreachable_pub)]
mod sequence;
mod snapshot;
#[allow(unreachable_pub)]
mod topology;
#[allow(unreachable_pub)]
mod wait;

use params::{AddressList, Methods, ParseError, Selection};
use results::{Results, State};

module! {
    type: ResetDevices,
    name: "reset_devices",
    authors: ["the kdumpkit authors"],
    description: "Quiets every PCI device before the capture kernel loads its first driver",
    license: "GPL",
}

kdump::module_params! {
    /// Never touched.
    static SKIP: charp = "skip", 0o444, "PCI addresses that are never touched, e.g. 0000:03:00.0,04:00";
    /// Nothing else is touched.
    static ONLY: charp = "only", 0o444, "PCI addresses; nothing else is touched";
    /// Allowed methods.
    static METHODS: charp = "methods", 0o444, "allowed methods, default hot,flr,pm,busmaster";
    /// Deadline of each device.
    static READY_TIMEOUT_MS: int(1, 600_000, 60_000) = "ready_timeout_ms", 0o444,
        "milliseconds after which a device that does not come back is given up (default 60000)";
    /// Act in any kernel.
    static FORCE: int(0, 1, 0) = "force", 0o444, "1: act in a kernel that is no capture kernel or lacks reset_devices";
    /// Plan only.
    static DRY_RUN: int(0, 1, 0) = "dry_run", 0o444, "1: print the plan and touch nothing";
}

struct ResetDevices {
    _results: Results,
}

impl kernel::Module for ResetDevices {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let selection = Selection {
            skip: parsed("skip", SKIP.get(), AddressList::parse)?.unwrap_or_default(),
            only: parsed("only", ONLY.get(), AddressList::parse)?.unwrap_or_default(),
        };
        let methods = parsed("methods", METHODS.get(), Methods::parse)?.unwrap_or(Methods::ALL);
        let results = if is_wanted() {
            act(&selection, methods)?
        } else {
            Results::nothing_done()?
        };
        Ok(Self { _results: results })
    }
}

/// Reads a text parameter; complains with the position of the mistake.
fn parsed<T>(
    name: &'static str,
    text: Option<&'static CStr>,
    parse: fn(&'static [u8]) -> Result<T, ParseError>,
) -> Result<Option<T>> {
    let Some(text) = text else {
        return Ok(None);
    };
    match parse(text.to_bytes()) {
        Ok(value) => Ok(Some(value)),
        Err(ParseError { position, expected }) => {
            pr_err!("{name}=, position {position}: expected {expected}; nothing done\n");
            Err(EINVAL)
        }
    }
}

fn is_wanted() -> bool {
    let why_not = match (kdump::is_kdump_kernel(), kdump::reset_devices()) {
        (true, true) => return true,
        _ if FORCE.get() != 0 => return true,
        (true, false) => "reset_devices is not on the command line",
        (false, _) => "this is no capture kernel",
    };
    pr_info!("{why_not}: nothing done (force=1 acts all the same)\n");
    false
}

fn act(selection: &Selection<'_>, methods: Methods) -> Result<Results> {
    let _no_hotplug = kdump::pci::RescanLock::take();
    let snapshot = snapshot::Snapshot::take()?;
    snapshot.warn_of_unmatched("skip", &selection.skip);
    snapshot.warn_of_unmatched("only", &selection.only);
    let decisions = snapshot.plan(selection, methods)?;
    if DRY_RUN.get() != 0 {
        return Results::publish(State::DryRun, &snapshot.functions, &decisions, None, 0);
    }
    let timeout_ms = u64::from(READY_TIMEOUT_MS.get().unsigned_abs());
    let applied = apply::apply(&snapshot, &decisions, timeout_ms)?;
    let outcomes = Some(&applied.outcomes[..]);
    Results::publish(
        State::Done,
        &snapshot.functions,
        &decisions,
        outcomes,
        applied.took_ms,
    )
}
