// SPDX-License-Identifier: GPL-2.0-or-later
//! ELF output (`-E`): what every ELF reader understands, without compression.
//!
//! A segment is a run of kept pages and the left-out ones behind it: `p_filesz` covers the first, `p_memsz` both, so
//! that all of RAM is described and left-out pages read as zeros. Headers stand at the start, where crash expects them.

use crate::addr::{PAGE_SIZE, Pfn};
use crate::codec::Codec;
use crate::dump::Dump;
use crate::elf::FLAG_INCOMPLETE;
use crate::error::Result;
use crate::pages::map::{BLOCK_PFNS, EMPTY, PageMap, runs, set_range};
use crate::pages::{Level, Scan};
use crate::source::ReadAt;
use crate::write::Written;
use crate::write::kdump::possible;
use crate::write::output::Output;
use crate::write::pipeline::{self, Batch, Check, Job, Progress, Stored};
use crate::write::verify::{self, Hash};
use std::ops::Range;

const EHDR_BYTES: u64 = 64;
const PHDR_BYTES: u64 = 56;
/// Readers differ in what they make of PN_XNUM, so the number of segments stays below it.
const MAX_SEGMENTS: usize = 0xfff0;
/// The direct mapping: virtual addresses of the segments, for readers that want some.
const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;

/// One PT_LOAD, in page frames.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    start: u64,
    /// End of what is in the file.
    kept_end: u64,
    /// End of the memory.
    end: u64,
}

/// Writes the pages of a scan.
///
/// # Errors
/// As [`crate::write::write_kdump`].
pub fn write_elf(
    dump: &Dump,
    scan: &Scan,
    level: Level,
    job: Job,
    out: &mut dyn Output,
    progress: &dyn Progress,
) -> Result<Written> {
    let read_back = possible(job.check, out) == Check::ReadBack;
    // Pages are copied; there is nothing to decode.
    let job = Job {
        codec: Codec::Raw,
        check: Check::No,
        ..job
    };
    let (kept, zero_pages) = match level.zero() {
        true => without_zero_pages(dump, &scan.kept, job)?,
        false => (scan.kept.clone(), 0),
    };
    let segments = segments(&scan.ram, &kept);
    let notes_at = EHDR_BYTES + (segments.len() as u64 + 1) * PHDR_BYTES;
    let data_at = (notes_at + dump.notes().len() as u64).next_multiple_of(PAGE_SIZE);
    out.reserve(data_at)?;
    if out.can_rewrite() {
        out.write_at(0, &head(dump, &segments, notes_at, data_at, true))?;
    }
    let mut data = Data {
        at: data_at,
        kept: &kept,
        hashes: Vec::new(),
        written: Written::default(),
    };
    let kept_runs = segments
        .iter()
        .map(|s| s.start..s.kept_end)
        .filter(|run| !run.is_empty());
    pipeline::run(dump, kept_runs, job, |batch| {
        data.write(batch, out)?;
        progress.advance(batch.pages.len() as u64);
        Ok(())
    })?;
    if read_back {
        out.finish()?;
        let head = head(dump, &segments, notes_at, data_at, true);
        data.read_back(out, &head, data_at, progress)?;
    }
    let written = Written {
        zero_pages,
        bytes: data.at,
        read_back,
        ..data.written
    };
    let incomplete = written.unreadable.pages > 0;
    let head = head(dump, &segments, notes_at, data_at, incomplete);
    out.write_at(0, &head)?;
    out.finish()?;
    if let Some(source) = out.read_back().filter(|_| read_back) {
        verify::bytes(&*source, 0, &head, "ELF headers")?;
    }
    Ok(written)
}

/// ELF has no place to say that a page is zero but to leave it out, so they must be known before the headers.
fn without_zero_pages(dump: &Dump, kept: &PageMap, job: Job) -> Result<(PageMap, u64)> {
    let mut out = PageMap::default();
    let mut zero_pages = 0;
    let mut current = (0, EMPTY);
    pipeline::run(dump, kept.runs(), job, |batch| {
        let pfns = batch.runs.iter().cloned().flatten();
        for (pfn, page) in pfns.zip(&batch.pages) {
            if *page == Stored::Zero {
                zero_pages += 1;
                continue;
            }
            let (block, within) = (pfn / BLOCK_PFNS, pfn % BLOCK_PFNS);
            if block != current.0 {
                out.set_block(current.0, &current.1);
                current = (block, EMPTY);
            }
            set_range(&mut current.1, within..within + 1);
        }
        Ok(())
    })?;
    out.set_block(current.0, &current.1);
    Ok((out, zero_pages))
}

/// All of RAM as segments; short gaps between kept pages are bridged when there would be too many.
fn segments(ram: &PageMap, kept: &PageMap) -> Vec<Segment> {
    let mut gap = 1;
    loop {
        let segments = segments_with_gap(ram, kept, gap);
        if segments.len() <= MAX_SEGMENTS {
            return segments;
        }
        gap *= 2;
    }
}

fn segments_with_gap(ram: &PageMap, kept: &PageMap, gap: u64) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::new();
    for block in 0..ram.block_count() {
        let first = block * BLOCK_PFNS;
        for memory in runs(ram.block(block)) {
            let memory = first + memory.start..first + memory.end;
            let kept_here = runs(kept.block(block)).map(|run| first + run.start..first + run.end);
            let kept_here =
                kept_here.filter(|run| run.start < memory.end && run.end > memory.start);
            add_memory(&mut out, memory.clone(), kept_here, gap);
        }
    }
    out
}

fn add_memory(
    out: &mut Vec<Segment>,
    memory: Range<u64>,
    kept: impl Iterator<Item = Range<u64>>,
    gap: u64,
) {
    match out.last_mut().filter(|last| last.end == memory.start) {
        Some(last) => last.end = memory.end,
        None => out.push(Segment {
            start: memory.start,
            kept_end: memory.start,
            end: memory.end,
        }),
    }
    for run in kept {
        // There is one: pushed above.
        let Some(last) = out.last_mut() else { return };
        if run.start - last.kept_end < gap {
            last.kept_end = run.end;
        } else {
            let end = std::mem::replace(&mut last.end, run.start);
            out.push(Segment {
                start: run.start,
                kept_end: run.end,
                end,
            });
        }
    }
}

fn head(
    dump: &Dump,
    segments: &[Segment],
    notes_at: u64,
    data_at: u64,
    incomplete: bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(notes_at as usize + dump.notes().len());
    out.extend(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let flags = if incomplete { FLAG_INCOMPLETE } else { 0 };
    out.extend(4u16.to_le_bytes()); // ET_CORE
    out.extend(62u16.to_le_bytes()); // EM_X86_64
    out.extend(1u32.to_le_bytes());
    for word in [0, EHDR_BYTES, 0] {
        out.extend(word.to_le_bytes());
    }
    out.extend(flags.to_le_bytes());
    for half in [
        EHDR_BYTES as u16,
        PHDR_BYTES as u16,
        segments.len() as u16 + 1,
        0,
        0,
        0,
    ] {
        out.extend(half.to_le_bytes());
    }
    let mut phdr = |kind: u32, words: [u64; 6]| {
        out.extend(kind.to_le_bytes());
        out.extend(if kind == 1 { 7u32 } else { 0 }.to_le_bytes());
        words.iter().for_each(|word| out.extend(word.to_le_bytes()));
    };
    let notes_bytes = dump.notes().len() as u64;
    phdr(4, [notes_at, 0, 0, notes_bytes, notes_bytes, 0]);
    let mut offset = data_at;
    for segment in segments {
        let addr = segment.start * PAGE_SIZE;
        let file_bytes = (segment.kept_end - segment.start) * PAGE_SIZE;
        let bytes = (segment.end - segment.start) * PAGE_SIZE;
        phdr(
            1,
            [
                offset,
                DIRECT_MAP.wrapping_add(addr),
                addr,
                file_bytes,
                bytes,
                0,
            ],
        );
        offset += file_bytes;
    }
    out.extend(dump.notes());
    out
}

/// Puts pages behind one another. Pages of a bridged gap are left out too, so they become zeros.
struct Data<'a> {
    at: u64,
    kept: &'a PageMap,
    /// Of each piece that was written, with its length.
    hashes: Vec<(u32, Hash)>,
    written: Written,
}

impl Data<'_> {
    fn write(&mut self, batch: &Batch, out: &mut dyn Output) -> Result<()> {
        let mut data = batch.data();
        let mut plain = Vec::with_capacity(batch.pages.len() * PAGE_SIZE as usize);
        let pfns = batch.runs.iter().cloned().flatten();
        for (pfn, page) in pfns.zip(&batch.pages) {
            let bytes = match page {
                Stored::Data { bytes, .. } => *bytes as usize,
                Stored::Zero | Stored::Unreadable => 0,
            };
            let (page_data, rest) = data.split_at(bytes);
            data = rest;
            let kept = self.kept.contains(Pfn(pfn));
            if kept && bytes > 0 {
                plain.extend_from_slice(page_data);
            } else {
                plain.resize(plain.len() + PAGE_SIZE as usize, 0);
            }
            self.written.pages += u64::from(kept);
            if kept && *page == Stored::Unreadable {
                self.written.unreadable.add(pfn..pfn + 1);
            }
        }
        out.write_at(self.at, &plain)?;
        self.at += plain.len() as u64;
        self.hashes.push((plain.len() as u32, Hash::bytes(&plain)));
        Ok(())
    }

    /// Compares the file with what went into it.
    fn read_back(
        &self,
        out: &dyn Output,
        head: &[u8],
        data_at: u64,
        progress: &dyn Progress,
    ) -> Result<()> {
        let Some(source) = out.read_back() else {
            return Ok(());
        };
        let source: &dyn ReadAt = &*source;
        verify::bytes(source, 0, head, "ELF headers")?;
        let (mut at, mut buf) = (data_at, Vec::new());
        for &(bytes, hash) in &self.hashes {
            buf.resize(bytes as usize, 0);
            verify::hash(source, at, &mut buf, hash, "ELF segment")?;
            at += u64::from(bytes);
            progress.advance(u64::from(bytes) / PAGE_SIZE);
        }
        Ok(())
    }
}
