// SPDX-License-Identifier: GPL-2.0
//! The decision: which function is reset, how, and why not in a stronger way.
//!
//! Pure and `core` only: it sees a described topology and touches no hardware. The rules, strongest method first:
//!
//! 1. *Hot reset.* The lowest bridge that has a function to reset directly behind it resets its whole secondary bus,
//!    unless something in that subtree must not be reset: a display, memory, a function with a driver, one that the
//!    administrator excluded, or one with a quirk. Bridges with only bridges behind them are left alone, so a switch
//!    stays up and its downstream ports are reset one by one. Subtrees of two reset ports never overlap.
//! 2. What no hot reset reaches gets the strongest method of its own: *FLR*, *D3hot/D0*, *bus master off*.

use super::params::{Methods, Selection};
use super::topology::Function;

/// What happens to one function. Being an enum, it is at most one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Reset through the secondary bus of the bridge with this index.
    Hot {
        /// Index of the bridge.
        port: usize,
    },
    /// Reset by a method of the function's own.
    Own {
        /// The method.
        method: Own,
        /// Why a hot reset does not reach it.
        not_hot: NotHot,
    },
    /// Not touched.
    Keep(Keep),
}

/// The methods that reach one function only, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Function level reset.
    Flr,
    /// D3hot and back to D0.
    Pm,
    /// Clear Bus Master: the function is stopped, not reset.
    BusMasterOff,
}

/// Why a function is not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// A bridge: only what is behind it is reset.
    Bridge,
    /// A bridge with nothing behind it.
    EmptyBus,
    /// Display controller: it may be the console.
    Display,
    /// Memory controller: it may hold pages of the dump.
    Memory,
    /// Part of the platform (host bridge, interrupt controller, IOMMU, …).
    Platform,
    /// A driver is in charge.
    Bound,
    /// Named in `skip=`, or behind a bridge that is.
    Skipped,
    /// There is an `only=` and it does not name it.
    NotNamed,
    /// A virtual function that ends with the reset of the physical function with this index.
    Virtual(usize),
    /// No allowed method works, but bus master is off: it can reach no memory.
    AlreadyOff,
    /// No allowed method works, and it may go on writing to memory.
    NoMethod,
}

/// Why a function is not hot reset; the index is that of the function in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHot {
    /// `methods=` leaves it out.
    NotAllowed,
    /// On a root bus there is no port above.
    RootBus,
    /// A virtual function has no link of its own.
    VirtualFunction,
    /// This function must be kept and would be reset as well.
    Reaches(usize, Keep),
    /// A quirk of this function forbids bus resets.
    Quirk(usize),
    /// The CXL port ignores the reset bit.
    Masked(usize),
    /// The port belongs to a Thunderbolt domain.
    Thunderbolt(usize),
    /// The host bridge's driver resets this port in a way of its own.
    HostOwned(usize),
}

/// A topology that cannot be: the caller's snapshot is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The work space is not as long as the topology.
    Workspace,
    /// The function with this index names a parent or physical function that does not precede it.
    Order(usize),
    /// The parent of the function with this index is no bridge.
    NotABridge(usize),
}

/// Per-function notes of [`plan`]; the caller provides one per function.
#[derive(Clone, Copy, Debug, Default)]
pub struct Note {
    /// `only=` leaves it in.
    named: bool,
    /// Why the function itself must be kept.
    keep: Option<Keep>,
    /// What stands against resetting the secondary bus, from below.
    below: Option<NotHot>,
    /// Something to reset is directly on the secondary bus.
    wanted: bool,
    /// Something is on the secondary bus.
    populated: bool,
    /// A function of the same device is a display.
    beside_display: bool,
}

/// Decides for every function. `decisions[i]` and `notes[i]` belong to `functions[i]`.
///
/// Takes time linear in the number of functions, plus their number for every display.
///
/// # Errors
///
/// [`PlanError`] when the slices differ in length or the topology is not ordered top-down; nothing is decided then.
pub fn plan(
    functions: &[Function],
    selection: &Selection<'_>,
    methods: Methods,
    notes: &mut [Note],
    decisions: &mut [Decision],
) -> Result<(), PlanError> {
    validate(functions, notes.len(), decisions.len())?;
    note_functions(functions, selection, notes);
    note_buses(functions, notes);
    for i in 0..functions.len() {
        decisions[i] = decide(i, functions, methods, notes, decisions);
    }
    Ok(())
}

fn validate(functions: &[Function], notes: usize, decisions: usize) -> Result<(), PlanError> {
    if notes != functions.len() || decisions != functions.len() {
        return Err(PlanError::Workspace);
    }
    for (i, function) in functions.iter().enumerate() {
        let mut before = [function.parent, function.physical].into_iter().flatten();
        if before.any(|b| b >= i) {
            return Err(PlanError::Order(i));
        }
        if function
            .parent
            .is_some_and(|p| functions[p].bridge.is_none())
        {
            return Err(PlanError::NotABridge(i));
        }
    }
    Ok(())
}

/// Top-down: each function's own reason to be kept. What the administrator says of a bridge or a physical function
/// holds for everything behind it.
fn note_functions(functions: &[Function], selection: &Selection<'_>, notes: &mut [Note]) {
    for (i, function) in functions.iter().enumerate() {
        let above = [function.parent, function.physical];
        let mut above = above.into_iter().flatten().map(|a| notes[a]);
        let skipped = selection.skips(function.address)
            || above.clone().any(|n| n.keep == Some(Keep::Skipped));
        let named = selection.names(function.address) || above.any(|n| n.named);
        let keep = if skipped {
            Some(Keep::Skipped)
        } else if !named {
            Some(Keep::NotNamed)
        } else {
            own_reason(function)
        };
        notes[i] = Note {
            named,
            keep,
            ..Note::default()
        };
    }
    for display in functions.iter().filter(|f| f.class.is_display()) {
        for (note, function) in notes.iter_mut().zip(functions) {
            note.beside_display |= function.same_device(display);
        }
    }
}

fn own_reason(function: &Function) -> Option<Keep> {
    if function.bound {
        Some(Keep::Bound)
    } else if function.bridge.is_some() {
        None
    } else if function.class.is_display() {
        Some(Keep::Display)
    } else if function.class.is_memory() {
        Some(Keep::Memory)
    } else if function.class.is_platform() {
        Some(Keep::Platform)
    } else {
        None
    }
}

/// Bottom-up: what each secondary bus holds and what stands against resetting it. The first function in the way,
/// in the order of the topology, is the one that is named.
fn note_buses(functions: &[Function], notes: &mut [Note]) {
    for i in (0..functions.len()).rev() {
        let Some(parent) = functions[i].parent else {
            continue;
        };
        let obstacle = match notes[i].keep {
            Some(keep) => Some(NotHot::Reaches(i, keep)),
            None if functions[i].no_bus_reset => Some(NotHot::Quirk(i)),
            None if functions[i].bridge.is_some_and(|b| b.thunderbolt) => {
                Some(NotHot::Thunderbolt(i))
            }
            None => notes[i].below,
        };
        let endpoint = functions[i].bridge.is_none() && functions[i].physical.is_none();
        let target = endpoint && notes[i].keep.is_none();
        let above = &mut notes[parent];
        above.populated = true;
        above.wanted |= target;
        above.below = obstacle.or(above.below);
    }
}

/// Whether the secondary bus of bridge `i` can be reset.
fn hot_reset(
    i: usize,
    functions: &[Function],
    methods: Methods,
    note: &Note,
) -> Result<(), NotHot> {
    let function = &functions[i];
    let Some(bridge) = function.bridge else {
        return Err(NotHot::RootBus);
    };
    let obstacle = if !methods.hot {
        Some(NotHot::NotAllowed)
    } else if function.bound {
        Some(NotHot::Reaches(i, Keep::Bound))
    } else if function.no_bus_reset {
        Some(NotHot::Quirk(i))
    } else if bridge.reset_masked {
        Some(NotHot::Masked(i))
    } else if bridge.thunderbolt {
        Some(NotHot::Thunderbolt(i))
    } else if bridge.host_resets {
        Some(NotHot::HostOwned(i))
    } else {
        note.below
    };
    obstacle.map_or(Ok(()), Err)
}

/// The decision for function `i`; those for the functions before it are made.
fn decide(
    i: usize,
    functions: &[Function],
    methods: Methods,
    notes: &[Note],
    decisions: &[Decision],
) -> Decision {
    let (function, note) = (&functions[i], &notes[i]);
    let not_hot = match function.parent {
        None => NotHot::RootBus,
        Some(parent) => {
            if let Decision::Hot { port } = decisions[parent] {
                return Decision::Hot { port };
            }
            match hot_reset(parent, functions, methods, &notes[parent]) {
                Ok(()) if notes[parent].wanted => return Decision::Hot { port: parent },
                Ok(()) => NotHot::VirtualFunction,
                Err(not_hot) => not_hot,
            }
        }
    };
    if let Some(keep) = note.keep.filter(|k| *k != Keep::NotNamed || !note.wanted) {
        return Decision::Keep(keep);
    }
    if function.bridge.is_some() {
        return Decision::Keep(match note.populated {
            true => Keep::Bridge,
            false => Keep::EmptyBus,
        });
    }
    if let Some(physical) = function.physical {
        if let Decision::Own { method, .. } = decisions[physical] {
            if method != Own::BusMasterOff {
                return Decision::Keep(Keep::Virtual(physical));
            }
        }
    }
    own_method(function, methods, note.beside_display)
        .map_or_else(Decision::Keep, |method| Decision::Own { method, not_hot })
}

/// The strongest method that reaches this function only. One that shares its device with a display is stopped, never
/// reset: functions of one device are not as independent in practice as the specification has them.
fn own_method(function: &Function, methods: Methods, beside_display: bool) -> Result<Own, Keep> {
    if methods.flr && function.flr && !beside_display {
        Ok(Own::Flr)
    } else if methods.pm && function.pm_reset && !beside_display {
        Ok(Own::Pm)
    } else if !function.bus_master {
        Err(Keep::AlreadyOff)
    } else if methods.bus_master {
        Ok(Own::BusMasterOff)
    } else {
        Err(Keep::NoMethod)
    }
}
