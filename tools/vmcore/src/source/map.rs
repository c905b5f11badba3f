// SPDX-License-Identifier: GPL-2.0-or-later
//! Windows into files. Reading copies: /proc/vmcore page by page through a temporary mapping (fs/proc/vmcore.c), a file out of the
//! page cache. Mapping costs page-table entries only, and pages that are left out cost nothing.

use super::lease::Lease;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::ops::Deref;
use std::ptr::null_mut;
use std::sync::Arc;

const PAGE: usize = crate::addr::PAGE_SIZE as usize;

/// A read-only mapping of a part of a file.
#[derive(Debug)]
pub struct Map {
    start: *mut c_void,
    /// Of the mapping, which begins at a page of the file: so many bytes before what was asked for.
    slack: usize,
    bytes: usize,
    /// Of a file, not of /proc/vmcore.
    file: Option<OfFile>,
}

/// What must be known about a mapped file before it is looked at.
#[derive(Debug)]
struct OfFile {
    /// Keeps it as it is.
    lease: Arc<Lease>,
    /// For each page of the mapping, whether it is in the page cache (bit 0).
    in_memory: Vec<u8>,
}

// SAFETY: the mapping is only read, belongs to nobody else, and stays until it is dropped, on whatever thread.
unsafe impl Send for Map {}

impl Map {
    /// Maps `bytes` bytes of /proc/vmcore from `offset` on; none if the file cannot be mapped.
    pub(super) fn new(file: &File, offset: u64, bytes: usize) -> Option<Map> {
        let slack = offset as usize % PAGE;
        // SAFETY: no address is asked for, so nothing that exists is touched.
        let start = unsafe {
            mmap(
                null_mut(),
                slack + bytes,
                ProtFlags::READ,
                MapFlags::PRIVATE,
                file,
                offset - slack as u64,
            )
        };
        start.ok().map(|start| Map {
            start,
            slack,
            bytes,
            file: None,
        })
    }

    /// The same of a file that has a lease.
    pub(super) fn leased(file: &File, offset: u64, bytes: usize, lease: Arc<Lease>) -> Option<Map> {
        let mut map = Map::new(file, offset, bytes)?;
        let length = map.slack + bytes;
        let mut in_memory = vec![0; length.div_ceil(PAGE)];
        // SAFETY: the range is mapped, and there is a byte for each of its pages.
        if unsafe { libc::mincore(map.start, length, in_memory.as_mut_ptr()) } != 0 {
            return None;
        }
        map.file = Some(OfFile { lease, in_memory });
        Some(map)
    }

    /// Whether it may be looked at any longer; one that may not is to be dropped soon, somebody waits for that.
    pub(crate) fn is_valid(&self) -> bool {
        self.file.as_ref().is_none_or(|file| file.lease.holds())
    }

    /// The bytes of a page from `at` on, if looking at them reads nothing from a disk.
    pub(crate) fn page(&self, at: usize) -> Option<&[u8]> {
        let page = self.get(at..at + PAGE)?;
        let Some(OfFile { in_memory, .. }) = &self.file else {
            return Some(page);
        };
        let pages = (self.slack + at) / PAGE..(self.slack + at + PAGE).div_ceil(PAGE);
        in_memory[pages]
            .iter()
            .all(|page| page & 1 == 1)
            .then_some(page)
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping has `slack + bytes` bytes and stays readable until drop. What it shows does not change, and has an
        // end no earlier than it had: of /proc/vmcore because it is the memory of a kernel that does not run any more, mapped at once
        // (remap_pfn_range); of a file because of the lease, which users ask for (`is_valid`) before each run of pages.
        unsafe { std::slice::from_raw_parts(self.start.cast::<u8>().add(self.slack), self.bytes) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: made by mmap with this length, and nothing refers to it any more.
        let _ = unsafe { munmap(self.start, self.slack + self.bytes) };
    }
}
