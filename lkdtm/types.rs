// SPDX-License-Identifier: GPL-2.0

//! Crash types: the ways in which the kernel can be made to crash.
//!
//! One table for the module, for kdumpkit's command line and verdict, and for the documentation. Spelling follows the
//! kernel's own LKDTM. What each does is in faults/, by [`Family`].

use super::points::Contexts;
use super::points::{ANY, HARDIRQ, NMI, SOFTIRQ, TASK};

/// What goes wrong. A type is a fault and the context it is moved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: hits are only counted.
    None,
    /// panic().
    Panic,
    /// BUG().
    Bug,
    /// WARN_ON().
    Warning,
    /// A message and WARN_ON().
    WarningMessage,
    /// Write to address 0.
    Exception,
    /// Index behind the end of an array.
    ArrayBounds,
    /// Recursion until the stack is full.
    Overflow,
    /// Overwrites a buffer on the stack and the canary behind it.
    CorruptStack,
    /// The same with a buffer that only the strong stack protector guards.
    CorruptStackStrong,
    /// Reads the byte below the task's stack.
    StackGuardLeading,
    /// Reads the byte above the task's stack.
    StackGuardTrailing,
    /// Faults without a usable stack.
    StackPointer,
    /// Endless loop.
    Loop,
    /// Endless loop without preemption.
    SoftLockup,
    /// Endless loop with interrupts off.
    HardLockup,
    /// Waits for a CPU that never answers.
    SmpCallLockup,
    /// Takes a spinlock twice.
    SpinLockup,
    /// Sleeps uninterruptibly for ever.
    HungTask,
    /// Calls into data.
    ExecData,
    /// Calls into the stack.
    ExecStack,
    /// Calls into constants.
    ExecRodata,
    /// Calls address 0.
    ExecNull,
    /// Reads user memory without the accessors.
    AccessUserspace,
    /// Reads address 0.
    AccessNull,
    /// Writes to constants.
    WriteRo,
    /// Writes to the kernel's code.
    WriteKern,
    /// Writes to freed memory.
    WriteAfterFree,
    /// Reads freed memory and uses it as a pointer.
    ReadAfterFree,
    /// Frees memory twice.
    SlabFreeDouble,
    /// Adds to a list whose links are wrong.
    CorruptListAdd,
    /// Removes from a list whose links are wrong.
    CorruptListDel,
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
    /// An access that page permissions forbid.
    Access,
    /// Memory is used against the allocator's or the list's rules.
    Memory,
}

/// What must hold so that a fault ends in a crash dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: it always panics.
    Nothing,
    /// An oops: it panics in interrupts, in idle and init; elsewhere only the task dies unless `kernel.panic_on_oops=1`.
    PanicOnOops,
    /// `kernel.panic_on_warn=1`.
    PanicOnWarn,
    /// A watchdog that panics. Which one sees it depends on whether interrupts are off.
    Watchdog,
    /// `kernel.hung_task_panic` above 0.
    HungTaskPanic,
    /// A kernel that checks what a distribution's kernel does not: there it goes unnoticed, or crashes later elsewhere.
    Debugging,
    /// It never crashes.
    Never,
}

impl Needs {
    /// Files below /proc/sys, one of which must not hold 0; none: no setting decides.
    pub const fn sysctls(self) -> &'static [&'static str] {
        match self {
            Self::Nothing | Self::Debugging | Self::Never => &[],
            Self::PanicOnOops => &["kernel/panic_on_oops"],
            Self::PanicOnWarn => &["kernel/panic_on_warn"],
            Self::Watchdog => &[
                "kernel/softlockup_panic",
                "kernel/hardlockup_panic",
                "kernel/panic_on_rcu_stall",
            ],
            Self::HungTaskPanic => &["kernel/hung_task_panic"],
        }
    }
}

/// The context to which a fault is moved before it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunIn {
    /// That of the crash point.
    Same,
    /// The same, but with interrupts off on this CPU.
    IrqsOff,
    /// A softirq handler, interrupts on.
    Softirq,
    /// A hard interrupt.
    Hardirq,
    /// A non-maskable interrupt.
    Nmi,
    /// The same, while all other CPUs spin with interrupts off: only an NMI reaches them.
    StopIrqsOff,
}

impl RunIn {
    /// All contexts with their names, as cpoint_context= takes them.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("same", Self::Same),
        ("irqsoff", Self::IrqsOff),
        ("softirq", Self::Softirq),
        ("hardirq", Self::Hardirq),
        ("nmi", Self::Nmi),
        ("stop_irqsoff", Self::StopIrqsOff),
    ];
}

/// A lock that is taken before the fault and never released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// None.
    None,
    /// A spinlock of our own.
    Spinlock,
    /// A mutex of our own.
    Mutex,
    /// The read side of RCU.
    Rcu,
    /// The console lock, which printk wants.
    Console,
    /// The network configuration's lock.
    Rtnl,
}

impl Lock {
    /// All classes with their names, as cpoint_lock= takes them.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("spinlock", Self::Spinlock),
        ("mutex", Self::Mutex),
        ("rcu", Self::Rcu),
        ("console", Self::Console),
        ("rtnl", Self::Rtnl),
    ];
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
    /// Where it happens, unless cpoint_context= says something else.
    pub run_in: RunIn,
    /// Where the code is.
    pub family: Family,
    /// What must hold so that it reaches kdump.
    pub needs: Needs,
    /// Only for DIRECT: it needs a task that may sleep.
    pub direct_only: bool,
    /// Texts of which the log of the crashed kernel holds one.
    pub expect: &'static [&'static str],
    /// For people.
    pub summary: &'static str,
}

impl Type {
    const fn new(
        name: &'static str,
        fault: Fault,
        family: Family,
        needs: Needs,
        expect: &'static [&'static str],
        summary: &'static str,
    ) -> Self {
        Self {
            name,
            aliases: &[],
            fault,
            run_in: RunIn::Same,
            family,
            needs,
            direct_only: false,
            expect,
            summary,
        }
    }

    const fn alias(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn run_in(self, run_in: RunIn) -> Self {
        Self { run_in, ..self }
    }

    const fn direct_only(self) -> Self {
        Self {
            direct_only: true,
            ..self
        }
    }

    /// The contexts in which the machine may die of this at a point that is hit in `point`.
    pub const fn crash_contexts(&self, point: Contexts) -> Contexts {
        match (self.fault, self.run_in) {
            // The double fault of a full stack is entered like an NMI. But the boot CPU's idle task runs on init_stack,
            // which has no guard page: there the scheduler notices, in the task.
            (Fault::Overflow, _) => NMI | (point & TASK),
            // As does the double fault of a lost stack.
            (Fault::StackPointer, _) | (_, RunIn::Nmi) => NMI,
            // A watchdog panics: in a timer or an NMI, on the CPU that hangs or another, or in a thread of its own.
            (
                Fault::Loop
                | Fault::SoftLockup
                | Fault::HardLockup
                | Fault::SmpCallLockup
                | Fault::SpinLockup
                | Fault::HungTask,
                _,
            ) => ANY | NMI,
            (_, RunIn::Softirq) => SOFTIRQ,
            (_, RunIn::Hardirq) => HARDIRQ,
            (_, RunIn::Same | RunIn::IrqsOff | RunIn::StopIrqsOff) => point,
        }
    }

    /// Whether it may be another CPU, another moment or no stack any more, so that the point need not be on the stack.
    pub const fn crashes_elsewhere(&self) -> bool {
        matches!(self.needs, Needs::Watchdog | Needs::HungTaskPanic)
            || matches!(self.fault, Fault::StackPointer)
            || matches!(self.run_in, RunIn::Softirq | RunIn::Hardirq)
    }

    /// The type called `name`, or with `name` among its aliases.
    pub fn find(name: &str) -> Option<&'static Self> {
        TYPES
            .iter()
            .find(|t| t.name == name || t.aliases.contains(&name))
    }
}

const DUMPTEST: &[&str] = &["Kernel panic - not syncing: dumptest"];
const BUG_AT: &[&str] = &["kernel BUG at "];
const NULL: &[&str] = &["BUG: kernel NULL pointer dereference, address: 0000000000000000"];
const PAGE: &[&str] = &["BUG: unable to handle page fault for address"];
const NX: &[&str] = &["kernel tried to execute NX-protected page", "Missing ENDBR"];
const CANARY: &[&str] = &["stack-protector: Kernel stack is corrupted in"];
const HANGS: &[&str] = &[
    "softlockup: hung tasks",
    "Hard LOCKUP",
    "RCU Stall",
    "NMI: Not continuing",
];

/// All types, in the order in which they are listed.
#[rustfmt::skip]
pub const TYPES: &[Type] = &[
    Type::new("NONE", Fault::None, Family::Report, Needs::Never, &[], "dry run: hits are counted, nothing crashes"),
    Type::new("PANIC", Fault::Panic, Family::Report, Needs::Nothing, DUMPTEST, "panic()"),
    Type::new("PANIC_STOP_IRQOFF", Fault::Panic, Family::Report, Needs::Nothing, DUMPTEST, "panic() while all other CPUs spin with interrupts off").run_in(RunIn::StopIrqsOff),
    Type::new("PANIC_IN_HARDIRQ", Fault::Panic, Family::Report, Needs::Nothing, DUMPTEST, "panic() in a hard interrupt").run_in(RunIn::Hardirq),
    Type::new("PANIC_IN_SOFTIRQ", Fault::Panic, Family::Report, Needs::Nothing, DUMPTEST, "panic() in a softirq handler").run_in(RunIn::Softirq),
    Type::new("PANIC_IN_NMI", Fault::Panic, Family::Report, Needs::Nothing, DUMPTEST, "panic() in a non-maskable interrupt").run_in(RunIn::Nmi),
    Type::new("BUG", Fault::Bug, Family::Report, Needs::PanicOnOops, BUG_AT, "BUG()"),
    Type::new("BUG_IN_HARDIRQ", Fault::Bug, Family::Report, Needs::Nothing, BUG_AT, "BUG() in a hard interrupt").run_in(RunIn::Hardirq),
    Type::new("WARNING", Fault::Warning, Family::Report, Needs::PanicOnWarn, &["WARNING: "], "WARN_ON()"),
    Type::new("WARNING_MESSAGE", Fault::WarningMessage, Family::Report, Needs::PanicOnWarn, &["Warning message trigger"], "a message and WARN_ON()"),
    Type::new("EXCEPTION", Fault::Exception, Family::Report, Needs::PanicOnOops, NULL, "write to address 0"),
    Type::new("EXCEPTION_IN_NMI", Fault::Exception, Family::Report, Needs::Nothing, NULL, "write to address 0 in a non-maskable interrupt").run_in(RunIn::Nmi),
    Type::new("ARRAY_BOUNDS", Fault::ArrayBounds, Family::Report, Needs::PanicOnOops, &["index out of bounds"], "index behind the end of an array, which Rust answers with BUG()"),
    Type::new("OVERFLOW", Fault::Overflow, Family::Stack, Needs::Nothing, &["stack guard page was hit", "corrupted stack end detected inside scheduler"], "recursion of recur_count levels, 1 KiB of stack each").alias(&["EXHAUST_STACK"]),
    Type::new("CORRUPT_STACK", Fault::CorruptStack, Family::Stack, Needs::Nothing, CANARY, "write behind a buffer on the stack"),
    Type::new("CORRUPT_STACK_STRONG", Fault::CorruptStackStrong, Family::Stack, Needs::Nothing, CANARY, "write behind a small object on the stack, which only the strong protector guards"),
    Type::new("STACK_GUARD_PAGE_LEADING", Fault::StackGuardLeading, Family::Stack, Needs::PanicOnOops, &["stack guard page was hit", "BUG: unable to handle page fault"], "read below the end of the task's stack"),
    Type::new("STACK_GUARD_PAGE_TRAILING", Fault::StackGuardTrailing, Family::Stack, Needs::PanicOnOops, &["BUG: unable to handle page fault", "stack guard page was hit"], "read above the start of the task's stack"),
    Type::new("DOUBLE_FAULT", Fault::StackPointer, Family::Stack, Needs::Nothing, &["double fault"], "fault while the stack pointer is bad"),
    Type::new("LOOP", Fault::Loop, Family::Lockup, Needs::Watchdog, HANGS, "endless loop with the interrupts as they are"),
    Type::new("SOFTLOCKUP", Fault::SoftLockup, Family::Lockup, Needs::Watchdog, HANGS, "endless loop, preemption off"),
    Type::new("HARDLOCKUP", Fault::HardLockup, Family::Lockup, Needs::Watchdog, HANGS, "endless loop, interrupts off"),
    Type::new("SMP_CALL_LOCKUP", Fault::SmpCallLockup, Family::Lockup, Needs::Watchdog, HANGS, "wait for another CPU that spins with interrupts off").direct_only(),
    Type::new("SPINLOCKUP", Fault::SpinLockup, Family::Lockup, Needs::Watchdog, HANGS, "take a spinlock twice"),
    Type::new("HUNG_TASK", Fault::HungTask, Family::Lockup, Needs::HungTaskPanic, &["hung_task: blocked tasks"], "sleep uninterruptibly for ever").direct_only(),
    Type::new("EXEC_DATA", Fault::ExecData, Family::Access, Needs::PanicOnOops, NX, "call into writable data of the module"),
    Type::new("EXEC_STACK", Fault::ExecStack, Family::Access, Needs::PanicOnOops, NX, "call into the stack"),
    Type::new("EXEC_RODATA", Fault::ExecRodata, Family::Access, Needs::PanicOnOops, NX, "call into constants of the module"),
    Type::new("EXEC_NULL", Fault::ExecNull, Family::Access, Needs::PanicOnOops, NULL, "call address 0"),
    Type::new("ACCESS_USERSPACE", Fault::AccessUserspace, Family::Access, Needs::PanicOnOops, PAGE, "read user memory without the accessors (needs SMAP)").direct_only(),
    Type::new("ACCESS_NULL", Fault::AccessNull, Family::Access, Needs::PanicOnOops, NULL, "read address 0"),
    Type::new("WRITE_RO", Fault::WriteRo, Family::Access, Needs::PanicOnOops, PAGE, "write to constants of the module"),
    Type::new("WRITE_KERN", Fault::WriteKern, Family::Access, Needs::PanicOnOops, PAGE, "write to the kernel's code"),
    Type::new("WRITE_AFTER_FREE", Fault::WriteAfterFree, Family::Memory, Needs::Debugging, &[], "write to freed memory"),
    Type::new("READ_AFTER_FREE", Fault::ReadAfterFree, Family::Memory, Needs::Debugging, &[], "read freed memory"),
    Type::new("SLAB_FREE_DOUBLE", Fault::SlabFreeDouble, Family::Memory, Needs::Debugging, &["kernel BUG at mm/slub.c", "Object already free"], "free memory twice"),
    Type::new("CORRUPT_LIST_ADD", Fault::CorruptListAdd, Family::Memory, Needs::PanicOnOops, &["list_add corruption"], "add to a list whose links are wrong"),
    Type::new("CORRUPT_LIST_DEL", Fault::CorruptListDel, Family::Memory, Needs::PanicOnOops, &["list_del corruption"], "remove from a list whose links are wrong"),
];
