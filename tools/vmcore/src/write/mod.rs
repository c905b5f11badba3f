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

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Pages in the dump, zero pages included.
    pub pages: u64,
    /// Pages full of zeros.
    pub zero_pages: u64,
    /// Pages that could not be read from the source (a dump with such pages is marked incomplete).
    pub unreadable_pages: u64,
    /// Length of the output in bytes.
    pub bytes: u64,
    /// The file was read back and has what was written.
    pub read_back: bool,
}
