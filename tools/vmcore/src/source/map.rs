// SPDX-License-Identifier: GPL-2.0-or-later
//! Windows into /proc/vmcore. Reading it copies page by page through a temporary mapping (fs/proc/vmcore.c); mapping it
//! costs page-table entries only, and pages that are left out cost nothing.

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::ops::Deref;
use std::ptr::null_mut;

/// A read-only mapping of a part of a file.
#[derive(Debug)]
pub struct Map {
    start: *mut c_void,
    bytes: usize,
}

// SAFETY: the mapping is only read, belongs to nobody else, and stays until it is dropped, on whatever thread.
unsafe impl Send for Map {}

impl Map {
    /// Maps `bytes` bytes from `offset` on, both multiples of the page size; none if the file cannot be mapped.
    pub(super) fn new(file: &File, offset: u64, bytes: usize) -> Option<Map> {
        // SAFETY: no address is asked for, so nothing that exists is touched.
        let start = unsafe {
            mmap(
                null_mut(),
                bytes,
                ProtFlags::READ,
                MapFlags::PRIVATE,
                file,
                offset,
            )
        };
        start.ok().map(|start| Map { start, bytes })
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `bytes` bytes from `start` on are mapped readable until drop. Only /proc/vmcore is mapped (see
        // FileSource::map): it is the memory of a kernel that does not run any more, all of it is mapped at once
        // (remap_pfn_range), and nothing truncates it.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.bytes) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: made by mmap with this length, and nothing refers to it any more.
        let _ = unsafe { munmap(self.start, self.bytes) };
    }
}
