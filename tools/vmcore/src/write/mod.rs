// SPDX-License-Identifier: GPL-2.0-or-later
//! Writing dumps.
//!
//! [`pipeline`] reads and compresses pages on all CPUs and gives them back in order; [`kdump`] and [`elf`] lay them out
//! as files, which [`output`] puts on disk and [`flattened`] into a pipe. A file is read back before it is called complete.

pub mod elf;
pub mod flattened;
pub mod kdump;
pub mod output;
pub mod pipeline;
mod verify;

pub use elf::write_elf;
pub use flattened::FlattenedOutput;
pub use kdump::{KdumpOptions, write_kdump};
pub use output::{FileOutput, Output};
pub use pipeline::{Check, Progress};

use std::ops::Range;

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Pages in the dump, zero pages included.
    pub pages: u64,
    /// Pages full of zeros.
    pub zero_pages: u64,
    /// Pages that could not be read from the source (a dump with such pages is marked incomplete).
    pub unreadable: Unreadable,
    /// Length of the output in bytes.
    pub bytes: u64,
    /// The file was read back and has what was written.
    pub read_back: bool,
}

/// Pages that the source could not give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// How many.
    pub pages: u64,
    /// Their page frames in ascending order, at most [`Unreadable::MAX_RUNS`] runs; pages behind those are only counted.
    pub runs: Vec<Range<u64>>,
}

impl Unreadable {
    /// Runs that are remembered.
    pub const MAX_RUNS: usize = 64;

    /// Adds page frames, behind those that are there.
    pub fn add(&mut self, pfns: Range<u64>) {
        self.pages += pfns.end - pfns.start;
        let count = self.runs.len();
        match self.runs.last_mut() {
            Some(last) if last.end == pfns.start => last.end = pfns.end,
            _ if count < Self::MAX_RUNS => self.runs.push(pfns),
            _ => {}
        }
    }

    /// Adds those of the next part of a split dump.
    pub fn append(&mut self, part: &Unreadable) {
        let pages = self.pages + part.pages;
        part.runs.iter().cloned().for_each(|run| self.add(run));
        self.pages = pages;
    }
}

#[cfg(test)]
mod tests {
    use super::{Range, Unreadable};

    #[test]
    fn add_when_neighbours_makes_one_run_and_counts_beyond_the_last() {
        let mut all = Unreadable::default();
        all.add(3..4);
        all.add(4..6);
        assert_eq!(
            (all.pages, all.runs.as_slice()),
            (3, &[Range { start: 3, end: 6 }][..])
        );
        (10..100).for_each(|i| all.add(2 * i..2 * i + 1));
        assert_eq!((all.pages, all.runs.len()), (93, Unreadable::MAX_RUNS));
        // A neighbour of a page that was only counted is no neighbour of the last run.
        all.add(199..201);
        assert_eq!((all.pages, all.runs.last()), (95, Some(&(144..145))));
        let mut joined = Unreadable::default();
        joined.add(0..2);
        joined.append(&all);
        assert_eq!((joined.pages, joined.runs[0].clone()), (97, 0..2));
    }
}
