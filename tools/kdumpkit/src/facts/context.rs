// SPDX-License-Identifier: GPL-2.0-or-later
//! In which context a CPU was when it stopped.

use super::cpu::per_cpu;
use anyhow::Result;
use serde::Serialize;
use std::fmt;
use vmcore::Dump;
use vmcore::memory::Memory;

/// In which context a CPU was (include/linux/preempt.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// A task's own code.
    Task,
    /// A softirq handler.
    Softirq,
    /// A hard interrupt handler.
    Hardirq,
    /// A non-maskable interrupt.
    Nmi,
}

/// Which bits of `preempt_count` count what; the softirq bits have not moved.
#[derive(Debug, Clone, Copy)]
struct PreemptLayout {
    hardirq_mask: u32,
    nmi_mask: u32,
}

/// Up to 7.2.
const LAYOUT_OLD: PreemptLayout = PreemptLayout {
    hardirq_mask: 0x000f_0000,
    nmi_mask: 0x00f0_0000,
};
/// From 7.3 on, where bits 16 to 23 count local_interrupt_disable(). Bit 31 may be PREEMPT_NEED_RESCHED.
const LAYOUT_IRQ_DISABLE_COUNT: PreemptLayout = PreemptLayout {
    hardirq_mask: 0x0f00_0000,
    nmi_mask: 0x7000_0000,
};
/// The per-CPU variable that came together with that count.
const IRQ_DISABLE_COUNT_MARK: &str = "local_interrupt_disable_state";

impl Context {
    /// Decodes `preempt_count`.
    ///
    /// Bit 8 alone says that a softirq is being served; the other softirq bits count local_bh_disable().
    fn from_preempt_count(count: u32, layout: PreemptLayout) -> Self {
        match count {
            n if n & layout.nmi_mask != 0 => Context::Nmi,
            n if n & layout.hardirq_mask != 0 => Context::Hardirq,
            n if n & 0x0000_0100 != 0 => Context::Softirq,
            _ => Context::Task,
        }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Context::Task => "task",
            Context::Softirq => "softirq",
            Context::Hardirq => "hardirq",
            Context::Nmi => "nmi",
        })
    }
}

/// Reads the context of a CPU, from its `preempt_count`. `stopped` is a CPU that the crashed one stopped by an NMI: that NMI
/// does not count.
///
/// # Errors
/// It is not in the dump.
pub fn context_of(dump: &Dump, cpu: u32, stopped: bool) -> Result<Context> {
    let count = dump.read_u32(per_cpu(dump, "__preempt_count", cpu)?)?;
    let layout = match dump.symbols()?.address(IRQ_DISABLE_COUNT_MARK) {
        Some(_) => LAYOUT_IRQ_DISABLE_COUNT,
        None => LAYOUT_OLD,
    };
    let count = if stopped {
        layout.without_nmi(count)
    } else {
        count
    };
    Ok(Context::from_preempt_count(count, layout))
}

impl PreemptLayout {
    /// Takes back what nmi_enter() added: one NMI and one hard interrupt.
    fn without_nmi(self, count: u32) -> u32 {
        let one = |mask: u32| mask & mask.wrapping_neg();
        match count & self.nmi_mask {
            0 => count,
            _ => count.wrapping_sub(one(self.nmi_mask) + one(self.hardirq_mask)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_when_interrupts_nest_is_the_innermost() {
        let old = |count| Context::from_preempt_count(count, LAYOUT_OLD);
        assert_eq!(old(0x0000_0001), Context::Task);
        assert_eq!(
            old(0x0000_0200),
            Context::Task,
            "bottom halves off is not in a softirq"
        );
        assert_eq!(old(0x0000_0101), Context::Softirq);
        assert_eq!(old(0x0001_0101), Context::Hardirq);
        assert_eq!(old(0x0011_0000), Context::Nmi);
        assert_eq!(
            old(0x8000_0000),
            Context::Task,
            "the top bit is PREEMPT_NEED_RESCHED"
        );
    }

    #[test]
    fn context_when_the_kernel_counts_disabled_interrupts_is_not_a_hardirq() {
        let new = |count| Context::from_preempt_count(count, LAYOUT_IRQ_DISABLE_COUNT);
        assert_eq!(new(0x0001_0001), Context::Task);
        assert_eq!(new(0x0100_0101), Context::Hardirq);
        assert_eq!(new(0x1100_0000), Context::Nmi);
        assert_eq!(
            new(0x8000_0000),
            Context::Task,
            "the top bit is PREEMPT_NEED_RESCHED"
        );
    }

    #[test]
    fn context_when_stopped_by_an_nmi_is_the_one_before_it() {
        let stopped = |count, layout: PreemptLayout| {
            Context::from_preempt_count(layout.without_nmi(count), layout)
        };
        assert_eq!(stopped(0x0011_0001, LAYOUT_OLD), Context::Task);
        assert_eq!(stopped(0x0012_0001, LAYOUT_OLD), Context::Hardirq);
        assert_eq!(
            stopped(0x1100_0101, LAYOUT_IRQ_DISABLE_COUNT),
            Context::Softirq
        );
        assert_eq!(
            stopped(0x0001_0000, LAYOUT_OLD),
            Context::Hardirq,
            "not by an NMI"
        );
    }
}
