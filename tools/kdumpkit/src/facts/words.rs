// SPDX-License-Identifier: GPL-2.0-or-later
//! The functions on a stopped CPU's stacks, without unwind tables: every word that points into kernel code.
//!
//! Stale words of earlier calls are among them, as with the `?` lines of the kernel's own traces; what was called is
//! never missing. From the end of an interrupt or exception stack the walk goes on where that stack says it came from.

use super::unwind::Frame;
use anyhow::Result;
use vmcore::memory::Memory;
use vmcore::{Dump, Regs, Symbols, VirtAddr};

/// Stacks are 16 KiB (THREAD_SIZE, IRQ_STACK_SIZE) or less.
const STACK_PAGES: u64 = 4;
const PAGE_BYTES: u64 = 4096;
/// task ← softirq/hard IRQ ← exception ← NMI.
const MAX_STACKS: usize = 4;

/// Functions of the kernel image, from the innermost stack outwards; all of them guessed.
pub(super) fn walk(dump: &Dump, regs: &Regs) -> Result<Vec<Frame>> {
    let code = Code::new(dump.symbols()?);
    let mut functions: Vec<Frame> = code.function(regs.rip).into_iter().collect();
    let mut start = Some(regs.rsp & !7);
    let mut seen = Vec::new();
    for _ in 0..MAX_STACKS {
        let Some(from) = start.take() else { break };
        let words = stack_words(dump, from);
        functions.extend(words.iter().filter_map(|word| code.function(*word)));
        seen.push(from..from + STACK_PAGES * PAGE_BYTES);
        // The last words of an IRQ or exception stack hold the interrupted stack pointer.
        let link = words.iter().rev().take(8).find(|word| {
            let new = !seen.iter().any(|range| range.contains(word));
            new && **word % 8 == 0
                && code.symbols.lookup(VirtAddr(**word)).is_none()
                && is_mapped(dump, **word)
        });
        start = link.copied();
    }
    Ok(functions)
}

/// Words from `from` to the end of its stack. A stack that overflowed starts in its guard page: then from the page
/// behind it.
fn stack_words(dump: &Dump, from: u64) -> Vec<u64> {
    let mut words = Vec::new();
    let mut at = from;
    if !is_mapped(dump, at) {
        at = (at / PAGE_BYTES + 1).saturating_mul(PAGE_BYTES);
    }
    for _ in 0..STACK_PAGES {
        let end = (at / PAGE_BYTES + 1).saturating_mul(PAGE_BYTES);
        let Ok(page) = dump.read_bytes(VirtAddr(at), (end - at) as usize) else {
            break;
        };
        words.extend(page.chunks_exact(8).map(|word| {
            word.iter()
                .rev()
                .fold(0, |n, byte| n << 8 | u64::from(*byte))
        }));
        at = end;
    }
    words
}

fn is_mapped(dump: &Dump, address: u64) -> bool {
    dump.read_virt(VirtAddr(address), &mut [0; 8]).is_ok()
}

/// The kernel's text.
struct Code<'a> {
    symbols: &'a Symbols,
    text: std::ops::Range<u64>,
}

impl<'a> Code<'a> {
    fn new(symbols: &'a Symbols) -> Self {
        let edge = |name| symbols.address(name).map_or(0, |address| address.0);
        Self {
            symbols,
            text: edge("_stext")..edge("_etext"),
        }
    }

    fn function(&self, word: u64) -> Option<Frame> {
        if !self.text.contains(&word) {
            return None;
        }
        let (symbol, offset) = self.symbols.lookup(VirtAddr(word))?;
        Some(Frame {
            symbol: symbol.name.clone(),
            offset,
            module: None,
            ip: word,
            sp: 0,
            interrupted: false,
            guessed: true,
        })
    }
}
