// SPDX-License-Identifier: GPL-2.0

//! Crash types: the ways in which the kernel can be made to crash.
//!
//! One table for the module, for kdumpkit's command line and verdict, and for the documentation. Spelling follows the
//! kernel's own LKDTM. What each does is in faults/, by [`Family`].

/// What goes wrong. A type is a fault, and possibly the context it is moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: hits are only counted.
    None,
    /// panic().
    Panic,
    /// BUG().
    Bug,
    /// Write to address 0.
    Exception,
    /// Recursion until the stack is full.
    Overflow,
    /// Endless loop.
    Loop,
}

/// The file in faults/ that implements a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// The kernel finds an error and says so: panic, BUG, WARN.
    Report,
    /// The stack overflows or is overwritten.
    Stack,
    /// A CPU, a task or a lock hangs.
    Lockup,
}

/// What must hold so that a fault ends in a crash dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it always panics.
    Nothing,
    /// An oops: it panics in interrupts, in idle and init; elsewhere only the task dies unless `kernel.panic_on_oops=1`.
    PanicOnOops,
    /// A detector that panics: `kernel.softlockup_panic=1`.
    SoftlockupPanic,
    /// It never crashes.
    Never,
}

impl Needs {
    /// The file below /proc/sys that must not hold 0, if one decides.
    pub const fn sysctl(self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::Never => None,
            Self::PanicOnOops => Some("kernel/panic_on_oops"),
            Self::SoftlockupPanic => Some("kernel/softlockup_panic"),
        }
    }
}

/// A named way to crash.
#[derive(Debug)]
pub struct Type {
    /// The name, as LKDTM or the talk of 2007 spells it.
    pub name: &'static str,
    /// Other names of the same.
    pub aliases: &'static [&'static str],
    /// What happens.
    pub fault: Fault,
    /// Where the code is.
    pub family: Family,
    /// What must hold so that it reaches kdump.
    pub needs: Needs,
    /// Texts of which the log of the crashed kernel holds one.
    pub expect: &'static [&'static str],
    /// For people.
    pub summary: &'static str,
}

/// All types, in the order in which they are listed.
pub const TYPES: &[Type] = &[
    Type {
        name: "NONE",
        aliases: &[],
        fault: Fault::None,
        family: Family::Report,
        needs: Needs::Never,
        expect: &[],
        summary: "dry run: hits are counted, nothing crashes",
    },
    Type {
        name: "PANIC",
        aliases: &[],
        fault: Fault::Panic,
        family: Family::Report,
        needs: Needs::Nothing,
        expect: &["Kernel panic - not syncing: dumptest"],
        summary: "panic()",
    },
    Type {
        name: "BUG",
        aliases: &[],
        fault: Fault::Bug,
        family: Family::Report,
        needs: Needs::PanicOnOops,
        expect: &["kernel BUG at "],
        summary: "BUG()",
    },
    Type {
        name: "EXCEPTION",
        aliases: &[],
        fault: Fault::Exception,
        family: Family::Report,
        needs: Needs::PanicOnOops,
        expect: &["BUG: kernel NULL pointer dereference, address: 0000000000000000"],
        summary: "write to address 0",
    },
    Type {
        name: "OVERFLOW",
        aliases: &["EXHAUST_STACK"],
        fault: Fault::Overflow,
        family: Family::Stack,
        needs: Needs::Nothing,
        expect: &["stack guard page was hit"],
        summary: "recursion of recur_count levels, 1 KiB of stack each",
    },
    Type {
        name: "LOOP",
        aliases: &[],
        fault: Fault::Loop,
        family: Family::Lockup,
        needs: Needs::SoftlockupPanic,
        expect: &["softlockup: hung tasks", "Kernel panic - not syncing: "],
        summary: "endless loop with the interrupts as they are",
    },
];

impl Type {
    /// The type called `name`, or with `name` among its aliases.
    pub fn find(name: &str) -> Option<&'static Self> {
        TYPES
            .iter()
            .find(|t| t.name == name || t.aliases.contains(&name))
    }
}
