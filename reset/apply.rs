// SPDX-License-Identifier: GPL-2.0

//! The plan carried out: [`sequence`](crate::sequence) on the running machine.

use crate::plan::{Decision, Own};
use crate::sequence::{self, Machine, Outcome, Step};
use crate::snapshot::Snapshot;
use crate::wait::Answer;
use kdump::{
    pci::{Identity, Locked, PciDev},
    pci_reset::{BusInReset, InD3hot},
    pci_shield::Shield,
};
use kernel::{
    prelude::*,
    time::{delay::fsleep, Delta, Instant, Monotonic},
};

/// How it ended.
pub(crate) struct Applied {
    /// One per function.
    pub(crate) outcomes: KVec<Outcome>,
    /// From the first lock to the last.
    pub(crate) took_ms: u64,
}

/// Carries out `decisions`. Sleeps until every reset device answers or its deadline has passed.
///
/// # Errors
///
/// `ENOMEM`; nothing is touched then.
pub(crate) fn apply(
    snapshot: &Snapshot,
    decisions: &[Decision],
    ready_timeout_ms: u64,
) -> Result<Applied> {
    let hardware = Hardware {
        devices: &snapshot.devices,
        begin: Instant::now(),
    };
    let mut steps = KVec::with_capacity(decisions.len(), GFP_KERNEL)?;
    let mut outcomes = KVec::with_capacity(decisions.len(), GFP_KERNEL)?;
    for _ in decisions {
        steps.push(Step::default(), GFP_KERNEL)?;
    }
    sequence::run(
        &hardware,
        &snapshot.functions,
        decisions,
        ready_timeout_ms,
        &mut steps,
    );
    for step in &steps {
        outcomes.push(step.outcome(), GFP_KERNEL)?;
    }
    Ok(Applied {
        outcomes,
        took_ms: hardware.now_ms(),
    })
}

struct Hardware<'a> {
    devices: &'a [PciDev],
    begin: Instant<Monotonic>,
}

/// A reset that is under way; dropping it ends it.
enum Held<'a> {
    Bus(#[expect(dead_code, reason = "held for its Drop")] BusInReset<'a>),
    Power(#[expect(dead_code, reason = "held for its Drop")] InD3hot<'a>),
    /// Ends by itself.
    Flr,
}

impl<'a> Machine for Hardware<'a> {
    type Lock = Locked<'a>;
    type Shield = Shield<'a>;
    type Held = Held<'a>;

    fn now_ms(&self) -> u64 {
        self.begin.elapsed().as_millis().unsigned_abs()
    }

    fn sleep_ms(&self, ms: u64) {
        fsleep(Delta::from_millis(ms.try_into().unwrap_or(i64::MAX)));
    }

    fn lock(&self, function: usize) -> Option<Locked<'a>> {
        // A driver may have been bound since the plan was made.
        self.devices[function]
            .try_lock()
            .filter(|locked| !locked.has_driver())
    }

    fn save_and_stop(&self, function: usize) -> bool {
        self.devices[function].save_and_stop()
    }

    fn shield(&self, port: usize) -> Shield<'a> {
        Shield::raise(&self.devices[port])
    }

    fn hold_bus(&self, port: usize) -> Held<'a> {
        Held::Bus(BusInReset::assert(&self.devices[port]))
    }

    fn hold_function(&self, function: usize, method: Own) -> Held<'a> {
        let device = &self.devices[function];
        match method {
            Own::Pm => Held::Power(InD3hot::enter(device)),
            Own::Flr => {
                device.start_flr();
                Held::Flr
            }
            // Not a reset; the sequence does not ask for it.
            Own::BusMasterOff => Held::Flr,
        }
    }

    fn answer(&self, function: usize) -> Answer {
        match self.devices[function].identity() {
            Identity::Present => Answer::Ready,
            Identity::Retry => Answer::Retry,
            Identity::Absent => Answer::Silent,
        }
    }

    fn link_active(&self, port: usize) -> bool {
        self.devices[port].link_active()
    }

    fn restore(&self, function: usize) {
        self.devices[function].restore();
    }

    fn bus_master_off(&self, function: usize) -> bool {
        self.devices[function].clear_bus_master()
    }
}
