// SPDX-License-Identifier: GPL-2.0-or-later
//! What a dump says about its crash: who, where, on which CPU, in which context. From the dump alone.

mod stack;

use anyhow::{Context as _, Result};
use std::fmt;
use std::path::Path;
use vmcore::memory::Memory;
use vmcore::{Dump, PrStatus, VirtAddr};

pub use stack::Frame;

/// In which context a CPU was (include/linux/preempt.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The facts of one crash.
#[derive(Debug)]
pub struct Facts {
    /// Kernel release.
    pub release: String,
    /// The kernel log.
    pub dmesg: String,
    /// The CPU that took the machine down (`panic_cpu`).
    pub cpu: u32,
    /// Process on that CPU; 0 is the idle task.
    pub pid: u32,
    /// Context of that CPU, from its preempt_count.
    pub context: Context,
    /// Functions on that CPU's stacks, innermost first.
    pub stack: Vec<Frame>,
    /// Whether the dump calls itself incomplete.
    pub incomplete: bool,
}

impl Facts {
    /// Reads them from a dump file.
    ///
    /// # Errors
    /// The file is no dump, or lacks a part that every kernel dump has; the message says which.
    pub fn read(path: &Path) -> Result<Self> {
        let dump =
            Dump::open(path).with_context(|| format!("opening the dump {}", path.display()))?;
        let cpu = panic_cpu(&dump).context("reading which CPU panicked")?;
        let status = status_of(&dump, cpu)?;
        Ok(Self {
            release: dump
                .vmcoreinfo()
                .osrelease()
                .context("the dump names no kernel release")?
                .to_owned(),
            dmesg: dump.dmesg().context("reading the kernel log")?,
            cpu,
            pid: status.pid,
            context: context_of(&dump, cpu).context("reading preempt_count")?,
            stack: stack::walk(&dump, &status.regs).context("walking the stack")?,
            incomplete: dump.is_incomplete(),
        })
    }

    /// The lines of the kernel log that hold `text`.
    pub fn log_lines<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.dmesg.lines().filter(move |line| line.contains(text))
    }

    /// Where `symbol` is seen on the crashed CPU's stack: in its memory, or only in the log's call trace (symbols of
    /// modules).
    #[must_use]
    pub fn stack_shows(&self, symbol: &str) -> Option<&'static str> {
        if self.stack.iter().any(|frame| frame.symbol == symbol) {
            return Some("stack memory");
        }
        let call = format!(" {symbol}+0x");
        self.log_lines(&call)
            .next()
            .map(|_| "call trace in the log")
    }
}

fn panic_cpu(dump: &Dump) -> Result<u32> {
    let address = dump
        .symbols()?
        .address("panic_cpu")
        .context("the dump has no symbol panic_cpu")?;
    let cpu = dump.read_u32(address)?;
    anyhow::ensure!(
        cpu < 8192,
        "panic_cpu is {}: no CPU has panicked",
        cpu as i32
    );
    Ok(cpu)
}

fn status_of(dump: &Dump, cpu: u32) -> Result<PrStatus> {
    let all = dump.prstatus();
    let found = all.iter().find(|status| status.cpu == cpu).copied();
    found.with_context(|| {
        format!(
            "the dump has registers of {} CPUs, but not of CPU {cpu}, which panicked",
            all.len()
        )
    })
}

fn context_of(dump: &Dump, cpu: u32) -> Result<Context> {
    let symbols = dump.symbols()?;
    let count = symbols
        .address("__preempt_count")
        .context("the dump has no symbol __preempt_count")?;
    let offsets = symbols
        .address("__per_cpu_offset")
        .context("the dump has no symbol __per_cpu_offset")?;
    let offset = dump.read_u64(VirtAddr(offsets.0 + 8 * u64::from(cpu)))?;
    let count = dump.read_u32(VirtAddr(count.0.wrapping_add(offset)))?;
    let new = symbols.address(IRQ_DISABLE_COUNT_MARK).is_some();
    Ok(Context::from_preempt_count(
        count,
        if new {
            LAYOUT_IRQ_DISABLE_COUNT
        } else {
            LAYOUT_OLD
        },
    ))
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
}
