// SPDX-License-Identifier: GPL-2.0-or-later
//! kdump-compressed files, header version 6. The layout is in [`crate::kdump`].
//!
//! Until all is written the header says INCOMPLETE, and the descriptors of pages that are not there yet are zero, so
//! that a dump cut short by a full disk or a reset is recognised and still opens. Where the target can be read, the mark
//! goes only after everything was read back and compared.

use crate::addr::{PAGE_SIZE, VirtAddr};
use crate::codec::Codec;
use crate::dump::Dump;
use crate::error::Result;
use crate::kdump::{DESC_BYTES, SIGNATURE, STATUS_INCOMPLETE, SUB_HEADER_BYTES};
use crate::notes::Notes;
use crate::pages::map::{BLOCK_PFNS, PageMap};
use crate::pages::{Level, Scan};
use crate::write::Written;
use crate::write::output::Output;
use crate::write::pipeline::{self, Batch, Check, Job, Progress, Stored};
use crate::write::verify::{self, Hash};
use std::ops::Range;

const UTSNAME_BYTES: usize = 6 * 65;
const VERSION: u32 = 6;
/// Descriptors and bitmaps go out in pieces of this size.
const BUFFER_BYTES: usize = 256 << 10;

/// How to write.
#[derive(Debug, Clone)]
pub struct KdumpOptions {
    /// Compression, threads, checking.
    pub job: Job,
    /// Noted in the header; the pages were chosen by the scan.
    pub level: Level,
    /// Only these page frames, as one file of a split set.
    pub split: Option<Range<u64>>,
}

/// Offsets of the parts, in bytes.
#[derive(Debug, Clone, Copy)]
struct Layout {
    sub_blocks: u64,
    bitmap_at: u64,
    bitmap_bytes: u64,
    descs_at: u64,
    zero_page_at: u64,
    data_at: u64,
}

impl Layout {
    fn new(notes_bytes: u64, max_pfn: u64, pages: u64) -> Layout {
        let sub_blocks = (SUB_HEADER_BYTES as u64 + notes_bytes).div_ceil(PAGE_SIZE);
        let bitmap_at = (1 + sub_blocks) * PAGE_SIZE;
        let bitmap_bytes = max_pfn.div_ceil(PAGE_SIZE * 8) * PAGE_SIZE;
        let descs_at = bitmap_at + 2 * bitmap_bytes;
        let zero_page_at = descs_at + pages * DESC_BYTES;
        Layout {
            sub_blocks,
            bitmap_at,
            bitmap_bytes,
            descs_at,
            zero_page_at,
            data_at: zero_page_at + PAGE_SIZE,
        }
    }

    /// A bitmap from `at` on, piece by piece.
    fn pieces(
        &self,
        mut at: u64,
        map: &PageMap,
        mut each: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let blocks = self.bitmap_bytes * 8 / BLOCK_PFNS;
        let mut buf = Vec::with_capacity(BUFFER_BYTES);
        for block in 0..blocks {
            for word in map.block(block) {
                buf.extend(word.to_le_bytes());
            }
            if buf.len() >= BUFFER_BYTES || block + 1 == blocks {
                each(at, &buf)?;
                at += buf.len() as u64;
                buf.clear();
            }
        }
        Ok(())
    }
}

/// Writes the pages of a scan.
///
/// # Errors
/// [`crate::Error::NoSpace`] after everything that fits is on disk and the dump is marked incomplete; others as they come.
pub fn write_kdump(
    dump: &Dump,
    scan: &Scan,
    options: &KdumpOptions,
    out: &mut dyn Output,
    progress: &dyn Progress,
) -> Result<Written> {
    let everything = 0..u64::MAX;
    let range = options.split.clone().unwrap_or(everything);
    let pages = match &options.split {
        None => scan.kept.count(),
        Some(range) => clipped(&scan.kept, range)
            .map(|run| run.end - run.start)
            .sum(),
    };
    let layout = Layout::new(dump.notes().len() as u64, scan.max_pfn, pages);
    let mut writer = Writer {
        dump,
        scan,
        options,
        layout,
        out,
        descs: Vec::with_capacity(BUFFER_BYTES),
        descs_at: layout.descs_at,
        data_at: layout.data_at,
        hashes: Vec::new(),
        written: Written::default(),
    };
    writer.metadata()?;
    let job = Job {
        check: possible(options.job.check, writer.out),
        ..options.job
    };
    let result = pipeline::run(dump, clipped(&scan.kept, &range), job, |batch| {
        writer.batch(batch)?;
        progress.advance(batch.pages.len() as u64);
        Ok(())
    });
    // What is complete stays, even when the rest has no room.
    let flushed = writer.flush_descs();
    result.and(flushed)?;
    if job.check == Check::ReadBack {
        writer.out.finish()?;
        writer.read_back(progress)?;
    }
    writer.end()?;
    Ok(writer.written)
}

/// What can be checked on this target.
pub(super) fn possible(check: Check, out: &dyn Output) -> Check {
    match check {
        Check::ReadBack if out.read_back().is_none() => Check::Encoded,
        check => check,
    }
}

/// The runs of a map, cut to a range.
fn clipped<'a>(
    map: &'a PageMap,
    range: &Range<u64>,
) -> impl Iterator<Item = Range<u64>> + Send + 'a {
    let range = range.clone();
    map.runs().filter_map(move |run| {
        let run = run.start.max(range.start)..run.end.min(range.end);
        (run.start < run.end).then_some(run)
    })
}

struct Writer<'a> {
    dump: &'a Dump,
    scan: &'a Scan,
    options: &'a KdumpOptions,
    layout: Layout,
    out: &'a mut dyn Output,
    descs: Vec<u8>,
    descs_at: u64,
    data_at: u64,
    /// Of each batch, for reading back.
    hashes: Vec<Hash>,
    written: Written,
}

impl<'a> Writer<'a> {
    /// All that is known before the first page: reserved as a whole, so that it stands even on a full disk.
    fn metadata(&mut self) -> Result<()> {
        self.out.reserve(self.layout.data_at)?;
        if self.out.can_rewrite() {
            let head = self.head(true);
            self.out.write_at(0, &head)?;
        }
        for (at, map) in self.bitmaps() {
            let out = &mut *self.out;
            self.layout
                .pieces(at, map, |at, bits| out.write_at(at, bits))?;
        }
        self.out
            .write_at(self.layout.zero_page_at, &[0; PAGE_SIZE as usize])?;
        self.written.bytes = self.layout.data_at;
        Ok(())
    }

    /// Both bitmaps with their places.
    fn bitmaps(&self) -> [(u64, &'a PageMap); 2] {
        let first = self.layout.bitmap_at;
        let second = first + self.layout.bitmap_bytes;
        [(first, &self.scan.ram), (second, &self.scan.kept)]
    }

    /// Compares the file with what went into it.
    fn read_back(&mut self, progress: &dyn Progress) -> Result<()> {
        let Some(source) = self.out.read_back() else {
            return Ok(());
        };
        let source = &*source;
        verify::bytes(source, 0, &self.head(true), "kdump header")?;
        for (at, map) in self.bitmaps() {
            self.layout.pieces(at, map, |at, bits| {
                verify::bytes(source, at, bits, "bitmap")
            })?;
        }
        let pages = verify::Pages {
            descs_at: self.layout.descs_at,
            zero_page_at: self.layout.zero_page_at,
            count: self.written.pages,
            hashes: &self.hashes,
        };
        verify::pages(source, &pages, self.options.job.threads, progress)?;
        self.written.read_back = true;
        Ok(())
    }

    /// The header without the mark, unless pages are missing.
    fn end(&mut self) -> Result<()> {
        let head = self.head(self.written.unreadable.pages > 0);
        self.out.write_at(0, &head)?;
        self.out.finish()?;
        match self.out.read_back().filter(|_| self.written.read_back) {
            Some(source) => verify::bytes(&*source, 0, &head, "kdump header"),
            None => Ok(()),
        }
    }

    fn batch(&mut self, batch: &Batch) -> Result<()> {
        self.out.write_at(self.data_at, batch.data())?;
        let (mut offset, descs_before) = (self.data_at, self.descs.len());
        let pfns = batch.runs.iter().cloned().flatten();
        for (pfn, page) in pfns.zip(&batch.pages) {
            let (at, bytes, codec) = match *page {
                Stored::Zero => (self.layout.zero_page_at, PAGE_SIZE as u32, Codec::Raw),
                Stored::Data { codec, bytes } => (offset, bytes, codec),
                Stored::Unreadable => (0, 0, Codec::Raw),
            };
            match page {
                Stored::Zero => self.written.zero_pages += 1,
                Stored::Data { .. } => offset += u64::from(bytes),
                Stored::Unreadable => self.written.unreadable.add(pfn..pfn + 1),
            }
            self.descs.extend(at.to_le_bytes());
            self.descs.extend(bytes.to_le_bytes());
            self.descs.extend(codec.flag().to_le_bytes());
            self.descs.extend([0; 8]);
        }
        self.written.pages += batch.pages.len() as u64;
        let mut hash = batch.hash;
        hash.add(&self.descs[descs_before..]);
        self.hashes.push(hash);
        self.data_at = offset;
        self.written.bytes = offset;
        if self.descs.len() >= BUFFER_BYTES {
            self.flush_descs()?;
        }
        Ok(())
    }

    fn flush_descs(&mut self) -> Result<()> {
        self.out.write_at(self.descs_at, &self.descs)?;
        self.descs_at += self.descs.len() as u64;
        self.descs.clear();
        Ok(())
    }

    fn head(&self, incomplete: bool) -> Vec<u8> {
        let notes = self.dump.notes();
        let bytes = ((1 + self.layout.sub_blocks) * PAGE_SIZE) as usize;
        let mut head = Fields(vec![0; bytes]);
        head.put(0, SIGNATURE);
        head.u32(8, VERSION);
        head.put(12, &utsname(self.dump).unwrap_or([0; UTSNAME_BYTES]));
        head.u64(408, crash_time(self.dump));
        let mark = if incomplete { STATUS_INCOMPLETE } else { 0 };
        head.u32(424, self.options.job.codec.flag() | mark);
        head.u32(428, PAGE_SIZE as u32);
        head.u32(432, self.layout.sub_blocks as u32);
        head.u32(436, (2 * self.layout.bitmap_bytes / PAGE_SIZE) as u32);
        head.u32(440, self.scan.max_pfn.min(u32::MAX.into()) as u32);
        let cpus = Notes::new(notes)
            .filter(|n| n.name == b"CORE" && n.kind == 1)
            .count();
        head.u32(460, cpus as u32);
        let sub = PAGE_SIZE as usize;
        let phys_base = self.dump.vmcoreinfo().number("phys_base").unwrap_or(0);
        head.u64(sub, phys_base as u64);
        head.u32(sub + 8, self.options.level.number().into());
        if let Some(split) = &self.options.split {
            head.u32(sub + 12, 1);
            for at in [16, 80] {
                head.u64(sub + at, split.start);
                head.u64(sub + at + 8, split.end);
            }
        }
        let notes_at = sub + SUB_HEADER_BYTES;
        if let Some((within, text)) = vmcoreinfo_text(notes) {
            head.u64(sub + 32, (notes_at + within) as u64);
            head.u64(sub + 40, text as u64);
        }
        head.u64(sub + 48, notes_at as u64);
        head.u64(sub + 56, notes.len() as u64);
        head.u64(sub + 96, self.scan.max_pfn);
        head.put(notes_at, notes);
        head.0
    }
}

/// A block of bytes with little-endian fields; what does not fit is a mistake of the layout above.
struct Fields(Vec<u8>);

impl Fields {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn u32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    fn u64(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_le_bytes());
    }
}

/// The crashed kernel's `struct new_utsname`: six strings of 65 bytes, as the header has them.
fn utsname(dump: &Dump) -> Option<[u8; UTSNAME_BYTES]> {
    let info = dump.vmcoreinfo();
    let at = info.symbol("init_uts_ns")?;
    let at = at.checked_add(info.offset("uts_namespace.name")?)?;
    let mut name = [0; UTSNAME_BYTES];
    dump.read_virt(VirtAddr(at), &mut name).ok()?;
    Some(name)
}

/// Seconds since 1970.
fn crash_time(dump: &Dump) -> u64 {
    let entries = dump.vmcoreinfo().entries();
    let entry = entries.iter().find(|entry| entry.key.name == "CRASHTIME");
    match entry.map(|entry| &entry.value) {
        Some(vmcoreinfo::Value::Unsigned(seconds)) => *seconds,
        _ => 0,
    }
}

/// Offset and length of the VMCOREINFO text within the notes.
fn vmcoreinfo_text(notes: &[u8]) -> Option<(usize, usize)> {
    let note = Notes::new(notes).find(|note| note.name == b"VMCOREINFO")?;
    let within = note.desc.as_ptr() as usize - notes.as_ptr() as usize;
    Some((within, note.desc.len()))
}
