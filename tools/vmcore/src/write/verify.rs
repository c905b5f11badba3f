// SPDX-License-Identifier: GPL-2.0-or-later
//! Reading back what was written, from the target, before a dump is called complete.
//!
//! Pages are hashed on their way from the source into the encoder, one hash for a batch of them. Here the same batches
//! are read from the file, decoded and hashed again: 8 bytes of memory for every 512 KiB of pages, whatever the size.

use crate::addr::PAGE_SIZE;
use crate::codec::{Codec, Decoder};
use crate::error::{Error, Result};
use crate::kdump::{DESC_BYTES, PageDesc};
use crate::source::ReadAt;
use crate::write::pipeline::{BATCH_PAGES, Progress};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Stands for a page without data of its own; odd, so that multiplying loses nothing.
const ZERO_PAGE: u64 = 0x9e37_79b9_7f4a_7c15;
const UNREADABLE_PAGE: u64 = 0xc2b2_ae3d_27d4_eb4f;
/// Stored pages of a batch are read at once; a file that claims to need more than this for them is wrong.
const MAX_BATCH_BYTES: u64 = 2 * BATCH_PAGES * PAGE_SIZE;

/// The hash of a sequence of pages and of their descriptors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hash(u64);

impl Hash {
    /// Adds a page, or other bytes.
    pub fn add(&mut self, contents: &[u8]) {
        self.0 = xxh3_64_with_seed(contents, self.0);
    }

    /// Adds a page of zeros.
    pub fn zero_page(&mut self) {
        self.mark(ZERO_PAGE);
    }

    /// Adds a page that the source could not give.
    pub fn unreadable_page(&mut self) {
        self.mark(UNREADABLE_PAGE);
    }

    /// Adds bytes that are stored as they are.
    pub fn bytes(contents: &[u8]) -> Hash {
        Hash(xxh3_64(contents))
    }

    fn mark(&mut self, which: u64) {
        self.0 = (self.0.rotate_left(17) ^ which).wrapping_mul(ZERO_PAGE);
    }
}

/// Pages of a kdump-compressed file, as they must be found.
pub(super) struct Pages<'a> {
    pub descs_at: u64,
    pub zero_page_at: u64,
    pub count: u64,
    /// Of each [`BATCH_PAGES`] pages: their contents, then their descriptors.
    pub hashes: &'a [Hash],
}

fn differs(what: &'static str, detail: String) -> Error {
    Error::format(
        what,
        format!(
            "{detail}: read back from the target, it is not what was written; the dump stays marked incomplete"
        ),
    )
}

/// Compares a part of the file with the bytes that were written there.
pub(super) fn bytes(
    source: &dyn ReadAt,
    at: u64,
    written: &[u8],
    what: &'static str,
) -> Result<()> {
    let mut found = vec![0; written.len()];
    source.read_at(at, &mut found, what)?;
    match found == written {
        true => Ok(()),
        false => Err(differs(what, format!("{} bytes at {at:#x}", written.len()))),
    }
}

/// Compares a part of the file by hash.
pub(super) fn hash(
    source: &dyn ReadAt,
    at: u64,
    buf: &mut [u8],
    written: Hash,
    what: &'static str,
) -> Result<()> {
    source.read_at(at, buf, what)?;
    match Hash::bytes(buf) == written {
        true => Ok(()),
        false => Err(differs(what, format!("{} bytes at {at:#x}", buf.len()))),
    }
}

/// Reads, decodes and compares all pages, on several threads.
pub(super) fn pages(
    source: &dyn ReadAt,
    pages: &Pages<'_>,
    threads: usize,
    progress: &dyn Progress,
) -> Result<()> {
    bytes(
        source,
        pages.zero_page_at,
        &[0; PAGE_SIZE as usize],
        "zero page",
    )?;
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut reader = Reader::default();
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(&written) = pages.hashes.get(index) else {
                break;
            };
            let first = index as u64 * BATCH_PAGES;
            let count = (pages.count - first).min(BATCH_PAGES);
            let result = match reader.batch(source, pages, first, count) {
                Ok(found) if found == written => Ok(()),
                Err(error @ Error::Io { .. }) => Err(error),
                other => {
                    let why = other
                        .err()
                        .map_or(String::new(), |error| format!(" ({error})"));
                    Err(differs(
                        "page data",
                        format!("pages {first} to {} of the dump{why}", first + count - 1),
                    ))
                }
            };
            if result.is_err() {
                stop.store(true, Ordering::Relaxed);
                return result;
            }
            progress.advance(count);
        }
        Ok(())
    };
    if threads <= 1 {
        return work();
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = || Err(Error::format("reading back", "a worker thread ended early"));
        let results = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| ended()));
        // All have ended before the first error is given.
        results.collect::<Vec<_>>().into_iter().collect()
    })
}

/// One thread's buffers.
#[derive(Default)]
struct Reader {
    decoder: Decoder,
    descs: Vec<u8>,
    data: Vec<u8>,
    page: Vec<u8>,
}

impl Reader {
    fn batch(
        &mut self,
        source: &dyn ReadAt,
        pages: &Pages<'_>,
        first: u64,
        count: u64,
    ) -> Result<Hash> {
        self.page.resize(PAGE_SIZE as usize, 0);
        self.descs.resize((count * DESC_BYTES) as usize, 0);
        source.read_at(
            pages.descs_at + first * DESC_BYTES,
            &mut self.descs,
            "page descriptors",
        )?;
        let descs = self
            .descs
            .chunks_exact(DESC_BYTES as usize)
            .map(PageDesc::parse);
        let stored = |desc: &PageDesc| desc.offset != 0 && desc.offset != pages.zero_page_at;
        let (mut start, mut end) = (u64::MAX, 0);
        for desc in descs.clone().filter(stored) {
            start = start.min(desc.offset);
            end = end.max(desc.offset.saturating_add(desc.bytes.into()));
        }
        // A batch is written as one piece.
        let start = start.min(end);
        if end - start > MAX_BATCH_BYTES {
            return Err(differs(
                "page descriptors",
                format!("{} bytes for {count} pages", end - start),
            ));
        }
        self.data.resize((end - start) as usize, 0);
        source.read_at(start, &mut self.data, "page data")?;
        let mut hash = Hash::default();
        for desc in descs {
            match desc.offset {
                0 => hash.unreadable_page(),
                at if at == pages.zero_page_at => hash.zero_page(),
                at => {
                    let at = (at - start) as usize;
                    let codec = Codec::from_flags(desc.flags).ok_or_else(|| {
                        differs("page descriptor", format!("codec bits {:#x}", desc.flags))
                    })?;
                    self.decoder.decode(
                        codec,
                        &self.data[at..at + desc.bytes as usize],
                        &mut self.page,
                    )?;
                    hash.add(&self.page);
                }
            }
        }
        hash.add(&self.descs);
        Ok(hash)
    }
}
