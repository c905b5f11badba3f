// SPDX-License-Identifier: GPL-2.0

//! The context that code runs in.
//!
//! C header: [`include/linux/preempt.h`](srctree/include/linux/preempt.h)

use crate::bindings;
use kernel::str::CStr;

/// What the CPU was doing, as its preemption counter tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// A task's own code: system call, kernel thread.
    Task,
    /// A softirq handler (timers, network, block completion, tasklets).
    Softirq,
    /// A hard interrupt handler.
    Hardirq,
    /// A non-maskable interrupt; also a breakpoint in kernel code, which x86 enters like one.
    Nmi,
}

impl Context {
    /// The context of the caller.
    ///
    /// Context: any, probe handlers included.
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: reads a per-CPU counter.
        match unsafe { bindings::kdump_helper_context() } {
            0 => Self::Task,
            1 => Self::Softirq,
            2 => Self::Hardirq,
            _ => Self::Nmi,
        }
    }

    /// The name that messages and verdicts use: task, softirq, hardirq, nmi.
    #[inline(always)]
    pub fn name(self) -> &'static CStr {
        match self {
            Self::Task => c"task",
            Self::Softirq => c"softirq",
            Self::Hardirq => c"hardirq",
            Self::Nmi => c"nmi",
        }
    }
}

/// Whether interrupts are off on this CPU.
///
/// Context: any, probe handlers included.
#[inline(always)]
pub fn irqs_disabled() -> bool {
    // SAFETY: reads the flags register.
    unsafe { bindings::kdump_helper_irqs_disabled() }
}

/// Turns interrupts off on this CPU, for good: only for a CPU that is about to crash.
///
/// Context: any.
pub fn irqs_disable() {
    // SAFETY: allowed in every context; what comes of it is the caller's purpose.
    unsafe { bindings::kdump_helper_irqs_disable() }
}

/// Turns preemption off for this task, for good: only for one that is about to hang.
///
/// Context: any.
pub fn preempt_disable() {
    // SAFETY: allowed in every context; what comes of it is the caller's purpose.
    unsafe { bindings::kdump_helper_preempt_disable() }
}
