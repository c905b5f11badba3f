// SPDX-License-Identifier: GPL-2.0-or-later
//! What a dump says about its crash, from the dump alone: who, where, on which CPU, in which context.
//!
//! [`cpu`] and [`unwind`] say what each CPU was doing, with [`code`], [`orc`] and [`modules`] for the code that it was
//! in; [`system`] is the kernel and the machine as a whole; [`layout`] knows the kernel's types. [`words`] is the stack
//! without unwind tables. [`Facts`] is what a test's verdict needs; `kdumpkit report` shows all of it.

mod code;
mod context;
pub mod cpu;
pub mod layout;
pub mod modules;
mod orc;
pub mod system;
pub mod unwind;
mod words;

use anyhow::{Context as _, Result};
use std::path::Path;
use vmcore::{Dump, PrStatus};

pub use code::Code;
pub use context::Context;
use cpu::Task;
use layout::Layout;
use unwind::End;
pub use unwind::Frame;

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
    /// Its task, when the kernel has BTF.
    pub task: Option<Task>,
    /// Context of that CPU, from its preempt_count.
    pub context: Context,
    /// That CPU's stack, innermost function first: by unwind tables where they lead to its end, otherwise every word in its
    /// memory that points into the kernel's code.
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
        let cpu = cpu::panic_cpu(&dump).context("reading which CPU panicked")?;
        let status = status_of(&dump, cpu)?;
        let layout = Layout::read(&dump).ok();
        let unwound = layout.as_ref().and_then(|l| unwound(&dump, l, &status));
        let stack = match unwound {
            Some(frames) => frames,
            None => words::walk(&dump, &status.regs).context("walking the stack")?,
        };
        Ok(Self {
            release: dump
                .vmcoreinfo()
                .osrelease()
                .context("the dump names no kernel release")?
                .to_owned(),
            dmesg: dump.dmesg().context("reading the kernel log")?,
            cpu,
            pid: status.pid,
            task: layout.and_then(|layout| cpu::current(&dump, &layout, cpu).ok()),
            context: context::context_of(&dump, cpu, false).context("reading preempt_count")?,
            stack,
            incomplete: dump.is_incomplete(),
        })
    }

    /// The lines of the kernel log that hold `text`.
    pub fn log_lines<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.dmesg.lines().filter(move |line| line.contains(text))
    }

    /// Where `symbol` is seen on the crashed CPU's stack: as a function that was called, as a word in its memory, or only in
    /// the log's call trace.
    #[must_use]
    pub fn stack_shows(&self, symbol: &str) -> Option<&'static str> {
        if let Some(frame) = self.stack.iter().find(|frame| frame.symbol == symbol) {
            return Some(if frame.guessed {
                "stack memory"
            } else {
                "called"
            });
        }
        let call = format!(" {symbol}+0x");
        self.log_lines(&call)
            .next()
            .map(|_| "call trace in the log")
    }
}

/// The stack by unwind tables, if they lead to its end.
fn unwound(dump: &Dump, layout: &Layout, status: &PrStatus) -> Option<Vec<Frame>> {
    let modules = modules::list(dump, layout).unwrap_or_default();
    let mut code = Code::new(dump, layout, &modules);
    let stack = unwind::unwind(dump, &mut code, &status.regs);
    (!matches!(stack.end, End::Lost(_))).then_some(stack.frames)
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
