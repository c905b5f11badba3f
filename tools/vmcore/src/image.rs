// SPDX-License-Identifier: GPL-2.0-or-later
//! What every dump format gives, whatever its layout on disk.

use crate::addr::{Pfn, PhysAddr};
use crate::error::Result;
use crate::pages::map::Bits;
use crate::source::Map;
use std::ops::Range;

/// Page frames that are mapped at once, at most: 4 MiB.
pub(crate) const WINDOW_PFNS: u64 = 1024;

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ELF core: /proc/vmcore, /proc/kcore, QEMU's dump-guest-memory, the `-E` output.
    Elf,
    /// kdump-compressed (also called diskdump), header version 1 to 6.
    Kdump,
}

/// Something with physical memory and ELF notes.
pub trait Image: Send + Sync {
    /// Fills `buf` with physical memory from `addr` on; may cross pages.
    ///
    /// # Errors
    /// [`crate::Error::Absent`] for the first page that the dump does not have, otherwise what reading the file gives.
    fn read_phys(&self, addr: PhysAddr, buf: &mut [u8]) -> Result<()>;

    /// The page frames that had RAM: ascending, disjoint, not empty.
    ///
    /// # Errors
    /// Reading the file, or a map with more ranges than any machine has.
    fn ram(&self) -> Result<Vec<Range<Pfn>>>;

    /// Which pages of a block of [`BLOCK_PFNS`](crate::pages::BLOCK_PFNS) page frames had RAM, and which of them the file has.
    ///
    /// # Errors
    /// Reading the file.
    fn block(&self, block: u64) -> Result<(Bits, Bits)>;

    /// Fills `buf` with whole pages from `pfn` on, all of them in the file; bytes of a page that is only partly RAM
    /// are zeros.
    ///
    /// # Errors
    /// As [`Image::read_phys`].
    fn read_pages(&self, pfn: Pfn, buf: &mut [u8]) -> Result<()> {
        self.read_phys(pfn.addr(), buf)
    }

    /// Maps the neighbourhood of a page, not beyond a multiple of [`WINDOW_PFNS`]: the first page frame of the window, and its bytes.
    /// None where reading is the way to go.
    fn window(&self, _pfn: Pfn) -> Option<(Pfn, Map)> {
        None
    }

    /// The ELF notes as one PT_NOTE segment.
    fn notes(&self) -> &[u8];

    /// Where a VMCOREINFO text lies outside the notes (kdump-compressed has its own field).
    fn vmcoreinfo_text(&self) -> Option<&[u8]>;

    /// Whether the writer marked the dump as cut short.
    fn is_incomplete(&self) -> bool;

    /// The format.
    fn format(&self) -> Format;

    /// The dump level with which the pages were filtered, when the format says it.
    fn dump_level(&self) -> Option<u32> {
        None
    }
}
