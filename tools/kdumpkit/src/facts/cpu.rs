// SPDX-License-Identifier: GPL-2.0-or-later
//! The CPUs: which one took the machine down, what each one was doing.

use super::code::Code;
use super::context::{Context, context_of};
use super::layout::Layout;
use super::unwind::{self, Stack};
use anyhow::{Context as _, Result};
use serde::Serialize;
use vmcore::memory::Memory;
use vmcore::{Dump, PrStatus, VirtAddr};

/// CONFIG_NR_CPUS of every distribution is lower.
const MAX_CPUS: u32 = 8192;
/// PF_KTHREAD (include/linux/sched.h).
const KERNEL_THREAD: u32 = 0x0020_0000;

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Thread id; 0 is an idle task.
    pub pid: u32,
    /// Thread group id: the process.
    pub tgid: u32,
    /// Its name.
    pub comm: String,
    /// Whether it has no user space.
    pub kernel_thread: bool,
    /// Name and id of its parent.
    pub parent: Option<(String, u32)>,
}

/// A CPU at the time of the crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// Its number.
    pub number: u32,
    /// Its task.
    pub task: Option<Task>,
    /// What it was in.
    pub context: Option<Context>,
    /// Where it was.
    pub stack: Stack,
}

/// Address of a CPU's instance of a per-CPU variable.
///
/// # Errors
/// The kernel has no such variable, or the dump no table of per-CPU areas.
pub(super) fn per_cpu(dump: &Dump, name: &str, cpu: u32) -> Result<VirtAddr> {
    let symbol = |name: &str| {
        let address = dump.symbols()?.address(name);
        address.with_context(|| format!("the dump has no symbol {name}"))
    };
    let variable = symbol(name)?;
    let offsets = symbol("__per_cpu_offset")?;
    let offset = dump.read_u64(VirtAddr(offsets.0.wrapping_add(8 * u64::from(cpu))))?;
    Ok(VirtAddr(variable.0.wrapping_add(offset)))
}

/// The CPU that took the machine down (`panic_cpu`).
///
/// # Errors
/// It is not in the dump, or no CPU has panicked: the dump is of a machine that was stopped from outside.
pub fn panic_cpu(dump: &Dump) -> Result<u32> {
    let address = dump
        .symbols()?
        .address("panic_cpu")
        .context("the dump has no symbol panic_cpu")?;
    let cpu = dump.read_u32(address)?;
    anyhow::ensure!(
        cpu < MAX_CPUS,
        "panic_cpu is {}: no CPU has panicked",
        cpu as i32
    );
    Ok(cpu)
}

/// Reads what a CPU was doing when it saved its registers.
pub fn read(
    dump: &Dump,
    layout: &Layout,
    code: &mut Code<'_>,
    status: &PrStatus,
    crashed: bool,
) -> Cpu {
    Cpu {
        number: status.cpu,
        task: current(dump, layout, status.cpu).ok(),
        context: context_of(dump, status.cpu, !crashed).ok(),
        stack: unwind::unwind(dump, code, &status.regs),
    }
}

/// The task that a CPU was running.
///
/// # Errors
/// It is not in the dump.
pub fn current(dump: &Dump, layout: &Layout, cpu: u32) -> Result<Task> {
    let task = VirtAddr(dump.read_u64(per_cpu(dump, "current_task", cpu)?)?);
    let parent = || {
        let parent = VirtAddr(layout.u64(dump, task, "task_struct.real_parent").ok()?);
        let comm = layout.text(dump, parent, "task_struct.comm").ok()?;
        let pid = layout.u32(dump, parent, "task_struct.tgid").ok()?;
        (parent.0 != task.0).then_some((comm, pid))
    };
    let flags = layout.u32(dump, task, "task_struct.flags")?;
    Ok(Task {
        pid: layout.u32(dump, task, "task_struct.pid")?,
        tgid: layout.u32(dump, task, "task_struct.tgid")?,
        comm: layout.text(dump, task, "task_struct.comm")?,
        kernel_thread: flags & KERNEL_THREAD != 0,
        parent: parent(),
    })
}
