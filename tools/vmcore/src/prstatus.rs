// SPDX-License-Identifier: GPL-2.0-or-later
//! NT_PRSTATUS: the registers that each CPU saved when it stopped (struct elf_prstatus, include/linux/elfcore.h).

use crate::addr::VirtAddr;
use crate::bytes::u64_at;
use crate::memory::Memory;
use crate::notes::Notes;
use crate::symbols::Symbols;

const NT_PRSTATUS: u32 = 1;
const PID_AT: usize = 32;
const REGS_AT: usize = 112;
const PRSTATUS_BYTES: usize = 336;
/// CONFIG_NR_CPUS of every distribution is lower.
const MAX_CPUS: u64 = 8192;

/// `user_regs_struct` of x86_64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the registers")]
pub struct Regs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}

impl Regs {
    fn parse(raw: &[u8]) -> Regs {
        let reg = |index: usize| u64_at(raw, index * 8);
        Regs {
            r15: reg(0),
            r14: reg(1),
            r13: reg(2),
            r12: reg(3),
            rbp: reg(4),
            rbx: reg(5),
            r11: reg(6),
            r10: reg(7),
            r9: reg(8),
            r8: reg(9),
            rax: reg(10),
            rcx: reg(11),
            rdx: reg(12),
            rsi: reg(13),
            rdi: reg(14),
            orig_rax: reg(15),
            rip: reg(16),
            cs: reg(17),
            rflags: reg(18),
            rsp: reg(19),
            ss: reg(20),
            fs_base: reg(21),
            gs_base: reg(22),
        }
    }
}

/// What one CPU saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrStatus {
    /// The CPU's number. From the per-CPU `crash_notes` of the dump where they can be read, otherwise the note's
    /// position, which differs when a CPU saved nothing.
    pub cpu: u32,
    /// Process that ran on it; 0 is the idle task.
    pub pid: u32,
    /// Its registers.
    pub regs: Regs,
}

/// All NT_PRSTATUS notes of a PT_NOTE segment, in their order.
pub fn parse(notes: &[u8]) -> Vec<PrStatus> {
    let notes = Notes::new(notes)
        .filter(|note| note.name == b"CORE" && note.kind == NT_PRSTATUS)
        .filter(|note| note.desc.len() >= PRSTATUS_BYTES);
    let statuses = notes.zip(0..).map(|(note, cpu)| PrStatus {
        cpu,
        pid: u64_at(note.desc, PID_AT) as u32,
        regs: Regs::parse(&note.desc[REGS_AT..]),
    });
    statuses.collect()
}

/// Replaces positions by CPU numbers, by finding each note in the per-CPU buffers it was copied from.
pub fn number_cpus(statuses: &mut [PrStatus], memory: &impl Memory, symbols: &Symbols) {
    if let Some(numbers) = find_numbers(statuses, memory, symbols) {
        for (status, cpu) in statuses.iter_mut().zip(numbers) {
            status.cpu = cpu;
        }
    }
}

fn find_numbers(
    statuses: &[PrStatus],
    memory: &impl Memory,
    symbols: &Symbols,
) -> Option<Vec<u32>> {
    let crash_notes = symbols.address("crash_notes")?;
    let offsets = symbols.address("__per_cpu_offset")?;
    let count = match symbols.address("nr_cpu_ids") {
        Some(at) => memory.read_u32(at).ok()?.into(),
        None => MAX_CPUS,
    };
    let mut of_cpu = Vec::new();
    for cpu in 0..count.min(MAX_CPUS) {
        let saved = || {
            let at = VirtAddr(offsets.0.wrapping_add(cpu * 8));
            let base = memory.read_u64(at).ok()?;
            // `crash_notes` is a per-CPU pointer to per-CPU memory (kernel/crash_core.c).
            let buffer = memory.read_u64(crash_notes).ok()?;
            let at = VirtAddr(buffer.wrapping_add(base));
            let bytes = 12 + 8 + PRSTATUS_BYTES;
            let note = memory.read_bytes(at, bytes).ok()?;
            parse(&note).first().copied()
        };
        of_cpu.push(saved());
    }
    let mut next = 0;
    let mut numbers = Vec::new();
    for status in statuses {
        // Notes keep the order of the CPUs, so each search starts behind the last hit.
        let hit = of_cpu[next..].iter().position(|saved| {
            saved.is_some_and(|saved| saved.pid == status.pid && saved.regs == status.regs)
        })?;
        numbers.push((next + hit) as u32);
        next += hit + 1;
    }
    Some(numbers)
}
