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
    /// What keeps the file as it is; /proc/vmcore needs none.
    lease: Option<Arc<Lease>>,
}

// SAFETY: the mapping is only read, belongs to nobody else, and stays until it is dropped, on whatever thread.
unsafe impl Send for Map {}

impl Map {
    /// Maps `bytes` bytes from `offset` on; none if the file cannot be mapped.
    pub(super) fn new(
        file: &File,
        offset: u64,
        bytes: usize,
        lease: Option<Arc<Lease>>,
    ) -> Option<Map> {
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
            lease,
        })
    }

    /// Whether it may be looked at any longer; one that may not is to be dropped soon, somebody waits for that.
    pub(crate) fn is_valid(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.holds())
    }

    /// Whether looking at it reads nothing from a disk: all of it is in the page cache.
    pub(super) fn is_cached(&self) -> bool {
        let length = self.slack + self.bytes;
        let mut pages = vec![0_u8; length.div_ceil(PAGE)];
        // SAFETY: the range is mapped, and there is a byte for each of its pages.
        let result = unsafe { libc::mincore(self.start, length, pages.as_mut_ptr()) };
        result == 0 && pages.iter().all(|page| page & 1 == 1)
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
