// SPDX-License-Identifier: GPL-2.0-or-later
//! The files of a split dump, read as one. Each holds the pages of one range of page frames.

use crate::addr::{PAGE_SIZE, Pfn, PhysAddr};
use crate::error::{Error, Result};
use crate::image::{Format, Image};
use crate::kdump::Kdump;
use crate::pages::map::{Bits, EMPTY};
use crate::source::ReadAt;
use std::ops::Range;

/// A split set, by range.
pub struct SplitSet<S> {
    parts: Vec<(Range<u64>, Kdump<S>)>,
}

impl<S: ReadAt> SplitSet<S> {
    /// Takes the files in any order.
    ///
    /// # Errors
    /// A file that is not part of a split dump, files of different dumps, or a range that no file has.
    pub fn new(files: Vec<Kdump<S>>) -> Result<SplitSet<S>> {
        let bad = |detail: String| Err(Error::format("split set", detail));
        let mut parts = Vec::new();
        for file in files {
            match file.split() {
                Some(range) => parts.push((range, file)),
                None => return bad("a file of the set is no split dump".into()),
            }
        }
        // An empty range is a part without pages; it fits anywhere.
        parts.sort_by_key(|(range, _)| (range.start, range.end));
        let mut covered = 0;
        for (range, file) in &parts {
            if file.max_pfn() != parts[0].1.max_pfn() || file.notes() != parts[0].1.notes() {
                return bad("the files come from different dumps".into());
            }
            if range.start > covered {
                return bad(format!(
                    "page frames {covered:#x} to {:#x} are in no file",
                    range.start
                ));
            }
            covered = covered.max(range.end);
        }
        match parts.first() {
            Some((_, file)) if covered >= file.max_pfn().0 => Ok(SplitSet { parts }),
            _ => bad(format!("page frames from {covered:#x} on are in no file")),
        }
    }

    fn part(&self, pfn: Pfn) -> &Kdump<S> {
        let part = self.parts.iter().find(|(range, _)| range.contains(&pfn.0));
        // Checked when the set was made: there is at least one part, and none is missing.
        &part.unwrap_or(&self.parts[0]).1
    }

    fn first(&self) -> &Kdump<S> {
        &self.parts[0].1
    }
}

impl<S: ReadAt> Image for SplitSet<S> {
    fn read_phys(&self, addr: PhysAddr, buf: &mut [u8]) -> Result<()> {
        let (mut at, mut rest) = (addr.0, buf);
        while !rest.is_empty() {
            let bytes = (PAGE_SIZE - at % PAGE_SIZE).min(rest.len() as u64);
            let (now, later) = rest.split_at_mut(bytes as usize);
            self.part(PhysAddr(at).pfn()).read_phys(PhysAddr(at), now)?;
            at = at.wrapping_add(bytes);
            rest = later;
        }
        Ok(())
    }

    fn ram(&self) -> Result<Vec<Range<Pfn>>> {
        self.first().ram()
    }

    fn block(&self, block: u64) -> Result<(Bits, Bits)> {
        let (ram, _) = self.first().block(block)?;
        let mut present = EMPTY;
        for (_, file) in &self.parts {
            let (_, part) = file.block(block)?;
            present
                .iter_mut()
                .zip(part)
                .for_each(|(all, part)| *all |= part);
        }
        Ok((ram, present))
    }

    fn notes(&self) -> &[u8] {
        self.first().notes()
    }

    fn vmcoreinfo_text(&self) -> Option<&[u8]> {
        self.first().vmcoreinfo_text()
    }

    fn is_incomplete(&self) -> bool {
        self.parts.iter().any(|(_, file)| file.is_incomplete())
    }

    fn format(&self) -> Format {
        Format::Kdump
    }

    fn dump_level(&self) -> Option<u32> {
        self.first().dump_level()
    }
}
