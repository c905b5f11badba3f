// SPDX-License-Identifier: GPL-2.0
//! What is said about each function: one line, the same in dmesg and in sysfs.
//!
//! `ADDRESS METHOD STATE MILLISECONDS REASON`, fields separated by one space, the reason to the end of the line:
//! `0000:01:00.0 hot reset 103 through 0000:00:02.0`.

use super::plan::{Decision, Keep, NotHot, Own};
use super::sequence::Outcome;
use super::topology::{Address, Function};
use core::fmt;

/// One function's line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The whole topology, to name other functions.
    pub functions: &'a [Function],
    /// Which of them.
    pub index: usize,
    /// What was decided.
    pub decision: Decision,
    /// How it ended; None for a plan only.
    pub outcome: Option<Outcome>,
}

impl Line<'_> {
    fn address(&self, index: usize) -> Address {
        self.functions[index].address
    }

    /// The method's name, as `methods=` spells it, or "none".
    pub const fn method(&self) -> &'static str {
        match self.decision {
            Decision::Hot { .. } => "hot",
            Decision::Own { method, .. } => own_name(method),
            Decision::Keep(_) => "none",
        }
    }

    /// The state's name and the milliseconds from the assertion of the reset to the first answer, or to giving up.
    pub const fn state(&self) -> (&'static str, u64) {
        match self.outcome {
            None => match self.decision {
                Decision::Keep(_) => ("kept", 0),
                Decision::Hot { .. } | Decision::Own { .. } => ("planned", 0),
            },
            Some(Outcome::Kept) => ("kept", 0),
            Some(Outcome::Reset(ms)) => ("reset", ms),
            Some(Outcome::Stopped) => ("stopped", 0),
            Some(Outcome::Busy) => ("busy", 0),
            Some(Outcome::LinkDown(ms)) => ("link-down", ms),
            Some(Outcome::Silent(ms)) => ("silent", ms),
            Some(Outcome::Unconfigured(ms)) => ("unconfigured", ms),
            Some(Outcome::BridgeLost) => ("bridge-lost", 0),
        }
    }

    fn write_not_hot(&self, f: &mut fmt::Formatter<'_>, not_hot: NotHot) -> fmt::Result {
        match not_hot {
            NotHot::NotAllowed => f.write_str("methods= leaves hot out"),
            NotHot::RootBus => f.write_str("no port above it"),
            NotHot::VirtualFunction => f.write_str("virtual function"),
            NotHot::Reaches(i, keep) => {
                write!(f, "a hot reset would reach {}: ", self.address(i))?;
                self.write_keep(f, keep)
            }
            NotHot::Quirk(i) => write!(f, "quirk of {} forbids hot reset", self.address(i)),
            NotHot::Masked(i) => write!(f, "CXL port {} ignores hot reset", self.address(i)),
            NotHot::Thunderbolt(i) => write!(f, "{} belongs to Thunderbolt", self.address(i)),
            NotHot::HostOwned(i) => write!(f, "the host bridge resets {} itself", self.address(i)),
        }
    }

    fn write_keep(&self, f: &mut fmt::Formatter<'_>, keep: Keep) -> fmt::Result {
        f.write_str(match keep {
            Keep::Bridge => "bridge, only what is behind it is reset",
            Keep::EmptyBus => "bridge with nothing behind it",
            Keep::Display => "display, it may be the console",
            Keep::Memory => "memory, it may hold pages of the dump",
            Keep::Platform => "part of the platform",
            Keep::Bound => "a driver is bound",
            Keep::Skipped => "named in skip=",
            Keep::NotNamed => "not named in only=",
            Keep::AlreadyOff => "no allowed method, but bus master is off",
            Keep::NoMethod => "no allowed method: it may go on writing to memory",
            Keep::Virtual(i) => return write!(f, "ends with the reset of {}", self.address(i)),
        })
    }
}

const fn own_name(own: Own) -> &'static str {
    match own {
        Own::Flr => "flr",
        Own::Pm => "pm",
        Own::BusMasterOff => "busmaster",
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, ms) = self.state();
        let (address, method) = (self.address(self.index), self.method());
        write!(f, "{address} {method} {state} {ms} ")?;
        match self.decision {
            Decision::Hot { port } => write!(f, "through {}", self.address(port)),
            Decision::Own { not_hot, .. } => self.write_not_hot(f, not_hot),
            Decision::Keep(keep) => self.write_keep(f, keep),
        }
    }
}
