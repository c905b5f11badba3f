// SPDX-License-Identifier: GPL-2.0-or-later
//! A set of page frames, one bit each, in blocks that cost nothing while they are empty or full.

use crate::addr::Pfn;
use std::ops::Range;

/// Page frames of one block: 16 MiB of memory, 512 bytes of bits.
pub const BLOCK_PFNS: u64 = 4096;
const WORDS: usize = BLOCK_PFNS as usize / 64;
/// The bits of one block, LSB first.
pub type Bits = [u64; WORDS];
/// All pages of a block.
pub const FULL: Bits = [u64::MAX; WORDS];
/// No page of a block.
pub const EMPTY: Bits = [0; WORDS];

#[derive(Debug, Clone)]
enum Block {
    Empty,
    Full,
    Mixed(Box<Bits>),
}

/// The set. At most one bit a page of RAM, so 32 MiB per TiB.
#[derive(Debug, Clone, Default)]
pub struct PageMap {
    blocks: Vec<Block>,
    count: u64,
}

impl PageMap {
    /// Sets one block; blocks may come in any order, each once.
    pub fn set_block(&mut self, block: u64, bits: &Bits) {
        let index = block as usize;
        if self.blocks.len() <= index {
            self.blocks.resize(index + 1, Block::Empty);
        }
        self.count += bits.iter().map(|w| u64::from(w.count_ones())).sum::<u64>();
        self.blocks[index] = match *bits {
            EMPTY => Block::Empty,
            FULL => Block::Full,
            _ => Block::Mixed(Box::new(*bits)),
        };
    }

    /// The bits of one block.
    pub fn block(&self, block: u64) -> &Bits {
        match self.blocks.get(block as usize) {
            None | Some(Block::Empty) => &EMPTY,
            Some(Block::Full) => &FULL,
            Some(Block::Mixed(bits)) => bits,
        }
    }

    /// How many pages are in the set.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Blocks up to the last one that was set.
    pub fn block_count(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// Whether a page is in the set.
    pub fn contains(&self, pfn: Pfn) -> bool {
        let within = pfn.0 % BLOCK_PFNS;
        self.block(pfn.0 / BLOCK_PFNS)[within as usize / 64] >> (within % 64) & 1 == 1
    }

    /// Runs of pages that are in the set, ascending, none longer than a block.
    pub fn runs(&self) -> impl Iterator<Item = Range<u64>> {
        (0..self.block_count()).flat_map(|block| {
            let first = block * BLOCK_PFNS;
            runs(self.block(block)).map(move |run| first + run.start..first + run.end)
        })
    }
}

/// Runs of set bits within one block.
pub fn runs(bits: &Bits) -> impl Iterator<Item = Range<u64>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = next(bits, at, true)?;
        let end = next(bits, start, false).unwrap_or(BLOCK_PFNS);
        at = end;
        Some(start..end)
    })
}

/// The first bit with the given value from `at` on.
fn next(bits: &Bits, at: u64, value: bool) -> Option<u64> {
    let flip = if value { 0 } else { u64::MAX };
    let mut word = at as usize / 64;
    let mut rest = (bits.get(word)? ^ flip) & (u64::MAX << (at % 64));
    while rest == 0 {
        word += 1;
        rest = bits.get(word)? ^ flip;
    }
    Some(word as u64 * 64 + u64::from(rest.trailing_zeros()))
}

/// Sets bits `range` of a block.
pub fn set_range(bits: &mut Bits, range: Range<u64>) {
    for word in range.start / 64..range.end.min(BLOCK_PFNS).div_ceil(64) {
        let low = range.start.saturating_sub(word * 64).min(64);
        let high = (range.end - word * 64).min(64);
        let upto = |n: u64| if n == 64 { u64::MAX } else { (1 << n) - 1 };
        bits[word as usize] |= upto(high) & !upto(low);
    }
}
