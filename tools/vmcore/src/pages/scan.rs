// SPDX-License-Identifier: GPL-2.0-or-later
//! One pass over all `struct page`: which pages are RAM, which go into the dump, how many of each class.

use crate::addr::{PAGE_SIZE, Pfn, VirtAddr};
use crate::dump::Dump;
use crate::error::{Error, Result};
use crate::pages::class::{Class, Classifier};
use crate::pages::layout::PageLayout;
use crate::pages::level::Level;
use crate::pages::map::{BLOCK_PFNS, Bits, EMPTY, PageMap, runs};
use crate::pages::memmap::MemMap;
use std::ops::Range;

/// 128 TiB: beyond any machine, and what a lying file may cost in the page maps stays below 256 MiB.
const MAX_PFN: u64 = 1 << 35;

/// Pages per class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    counts: [u64; Class::ALL.len()],
    /// Blocks with an order that cannot be; their pages count as kernel memory.
    pub suspicious_blocks: u64,
}

impl Stats {
    /// Pages of one class.
    pub fn count(&self, class: Class) -> u64 {
        self.counts[class as usize]
    }

    /// Pages of all classes: all of RAM.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn add(&mut self, class: Class, pages: u64) {
        self.counts[class as usize] += pages;
    }
}

/// The result of a pass.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// Pages of RAM that the source has.
    pub ram: PageMap,
    /// Pages that go into the dump.
    pub kept: PageMap,
    /// Pages per class, kept or not.
    pub stats: Stats,
    /// One past the last page frame of RAM.
    pub max_pfn: u64,
}

/// Classes of the pages of one block.
type Classes = [Class; BLOCK_PFNS as usize];

/// Goes through RAM once. Without a layout nothing is classified, all pages count as kernel memory.
///
/// # Errors
/// VMCOREINFO does not say where the structures are, or says what cannot be. A structure that cannot be read is no error:
/// its page is kept.
pub fn scan(dump: &Dump, layout: Option<&PageLayout>, level: Level) -> Result<Scan> {
    let mut out = Scan::default();
    let mut classes = match layout {
        Some(layout) => Some(BlockClasses::new(dump, layout)?),
        None => None,
    };
    let mut next_block = 0;
    for range in dump.ram()? {
        if range.end.0 > MAX_PFN {
            return Err(Error::BadValue {
                what: "end of RAM, as a page frame number".into(),
                value: range.end.0,
                valid: "at most 2^35 (128 TiB)",
            });
        }
        out.max_pfn = out.max_pfn.max(range.end.0);
        let blocks = range.start.0 / BLOCK_PFNS..range.end.0.div_ceil(BLOCK_PFNS);
        for block in blocks.start.max(next_block)..blocks.end {
            let (ram, present) = dump.block(block)?;
            let kept = match &mut classes {
                Some(classes) => select(classes.block(block), &ram, level, &mut out.stats),
                None => {
                    let pages: u32 = ram.iter().map(|w| w.count_ones()).sum();
                    out.stats.add(Class::Kernel, pages.into());
                    ram
                }
            };
            let mut kept_present = kept;
            for (kept, present) in kept_present.iter_mut().zip(present) {
                *kept &= present;
            }
            out.ram.set_block(block, &ram);
            out.kept.set_block(block, &kept_present);
        }
        next_block = next_block.max(blocks.end);
    }
    if let Some(classes) = classes {
        out.stats.suspicious_blocks = classes.classifier.suspicious();
    }
    Ok(out)
}

fn select(classes: &Classes, ram: &Bits, level: Level, stats: &mut Stats) -> Bits {
    let keep = Class::ALL.map(|class| level.keeps(class));
    let mut kept = EMPTY;
    for run in runs(ram) {
        let mut i = run.start;
        while i < run.end {
            // Neighbours mostly share a class.
            let class = classes[i as usize];
            let rest = &classes[i as usize..run.end as usize];
            let same = rest.iter().take_while(|&&c| c == class).count() as u64;
            stats.add(class, same);
            if keep[class as usize] {
                crate::pages::map::set_range(&mut kept, i..i + same);
            }
            i += same;
        }
    }
    kept
}

/// Reads and classifies block by block.
pub struct BlockClasses<'a> {
    dump: &'a Dump,
    /// None: the array of sections cannot be read.
    map: Option<MemMap<'a, Dump>>,
    classifier: Classifier<'a>,
    size: usize,
    raw: Vec<u8>,
    classes: Box<Classes>,
}

impl<'a> BlockClasses<'a> {
    /// Prepares a pass.
    ///
    /// # Errors
    /// As [`MemMap::new`], but for memory that cannot be read: then no page has a known class.
    pub fn new(dump: &'a Dump, layout: &'a PageLayout) -> Result<BlockClasses<'a>> {
        let map = match MemMap::new(dump) {
            Ok(map) => Some(map),
            Err(error) if error.is_of_memory() => None,
            Err(error) => return Err(error),
        };
        Ok(BlockClasses {
            dump,
            map,
            classifier: Classifier::new(layout),
            size: layout.size,
            raw: vec![0; BLOCK_PFNS as usize * layout.size],
            classes: Box::new([Class::NoStruct; BLOCK_PFNS as usize]),
        })
    }

    /// Classifies the pages of a block; blocks come in ascending order. Only those that are RAM mean anything.
    pub fn block(&mut self, block: u64) -> &Classes {
        let Some(map) = &mut self.map else {
            self.classes.fill(Class::Unknown);
            return &self.classes;
        };
        self.classes.fill(Class::NoStruct);
        let step = map.pfns_per_section().min(BLOCK_PFNS);
        for start in (0..BLOCK_PFNS).step_by(step as usize) {
            let pfn = block * BLOCK_PFNS + start;
            let part = start as usize..(start + step) as usize;
            let at = match map.struct_page(Pfn(pfn)) {
                Ok(Some(at)) => at,
                Ok(None) => continue,
                Err(_) => {
                    self.classes[part].fill(Class::Unknown);
                    continue;
                }
            };
            let raw = &mut self.raw[part.start * self.size..part.end * self.size];
            let classes = &mut self.classes[part];
            let unread = match self.dump.read_virt(at, raw) {
                Ok(()) => Vec::new(),
                Err(_) => read_around(self.dump, at, raw),
            };
            self.classifier.classify(pfn, raw, classes);
            for bytes in unread {
                classes[bytes.start / self.size..bytes.end.div_ceil(self.size)]
                    .fill(Class::Unknown);
            }
        }
        &self.classes
    }
}

/// Reads all that can be read, zeros for the rest; returns the rest. Structures of holes in memory may be unmapped.
fn read_around(dump: &Dump, at: VirtAddr, raw: &mut [u8]) -> Vec<Range<usize>> {
    let mut unread = Vec::new();
    let mut done = 0;
    while done < raw.len() {
        let here = VirtAddr(at.0.wrapping_add(done as u64));
        let to_page_end = (PAGE_SIZE - here.0 % PAGE_SIZE) as usize;
        let piece = done..raw.len().min(done + to_page_end);
        if dump.read_virt(here, &mut raw[piece.clone()]).is_err() {
            raw[piece.clone()].fill(0);
            unread.push(piece.clone());
        }
        done = piece.end;
    }
    unread
}
