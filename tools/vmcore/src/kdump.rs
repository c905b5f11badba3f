// SPDX-License-Identifier: GPL-2.0-or-later
//! kdump-compressed files: layout of the headers, and the reader.
//!
//! Blocks of one page. Block 0 is `disk_dump_header`, block 1 `kdump_sub_header`, then the notes, the bitmap of RAM,
//! the bitmap of dumped pages, one descriptor a dumped page, the data. Source: makedumpfile's IMPLEMENTATION document
//! and files that it wrote.

use crate::addr::{PAGE_SIZE, Pfn, PhysAddr};
use crate::bytes::{u32_at, u64_at};
use crate::codec::{Codec, Decoder};
use crate::error::{Absence, Error, Result};
use crate::image::{Format, Image};
use crate::notes::MAX_NOTES_BYTES;
use crate::pages::map::{self, BLOCK_PFNS, Bits, EMPTY};
use crate::source::ReadAt;
use std::ops::Range;
use std::sync::Mutex;

/// The first eight bytes of block 0.
pub(crate) const SIGNATURE: &[u8; 8] = b"KDUMP   ";
pub(crate) const HEADER_BYTES: usize = 464;
pub(crate) const SUB_HEADER_BYTES: usize = 104;
pub(crate) const DESC_BYTES: u64 = 24;
/// `status` bit of a dump that was cut short.
pub(crate) const STATUS_INCOMPLETE: u32 = 0x8;
/// 52 physical address bits, the most that x86_64 has.
const MAX_PFNS: u64 = 1 << 40;
/// Page frames whose bits fill one block of a bitmap.
const PFNS_PER_BLOCK: u64 = PAGE_SIZE * 8;
const MAX_RANGES: usize = 1 << 20;
/// How many pages with data of their own are looked at to see whether a file was cut: more than any writer has in flight.
const LAST_PAGES: u64 = 4096;
const CACHED_PAGES: usize = 64;

/// Fields of both headers, as far as a reader needs them.
#[derive(Debug, Clone)]
struct Header {
    status: u32,
    dump_level: u32,
    split: Option<Range<u64>>,
    max_mapnr: u64,
    bitmap_at: u64,
    bitmap_bytes: u64,
    vmcoreinfo: (u64, u64),
    notes: (u64, u64),
}

impl Header {
    fn read(source: &impl ReadAt) -> Result<Header> {
        let head = source.read_vec(0, HEADER_BYTES as u64, HEADER_BYTES as u64, "kdump header")?;
        let bad = |detail: String| Error::format("kdump header", detail);
        let version = u32_at(&head, 8);
        if !(1..=6).contains(&version) {
            return Err(bad(format!("version {version}, valid are 1 to 6")));
        }
        let block = u32_at(&head, 428);
        if u64::from(block) != PAGE_SIZE {
            return Err(bad(format!("block size {block}, valid is {PAGE_SIZE}")));
        }
        let sub_blocks = u32_at(&head, 432);
        if sub_blocks == 0 || u64::from(sub_blocks) > MAX_NOTES_BYTES / PAGE_SIZE + 2 {
            return Err(bad(format!("sub-header of {sub_blocks} blocks")));
        }
        let sub_bytes = SUB_HEADER_BYTES as u64;
        let mut sub = source.read_vec(PAGE_SIZE, sub_bytes, sub_bytes, "kdump sub-header")?;
        // Each version appended fields; what an older one does not have may hold anything.
        let valid = [16, 16, 32, 48, 64, 80, 104][version as usize];
        sub[valid..].fill(0);
        let wide = version >= 6;
        let max_mapnr = if wide {
            u64_at(&sub, 96)
        } else {
            u32_at(&head, 440).into()
        };
        let bitmap_bytes = u64::from(u32_at(&head, 436)) * PAGE_SIZE;
        if max_mapnr > MAX_PFNS || max_mapnr.div_ceil(PFNS_PER_BLOCK) * PAGE_SIZE * 2 > bitmap_bytes
        {
            return Err(bad(format!(
                "bitmaps of {bitmap_bytes} bytes for {max_mapnr} page frames"
            )));
        }
        let (start, end) = if wide { (80, 88) } else { (16, 24) };
        let split = u32_at(&sub, 12) != 0;
        Ok(Header {
            status: u32_at(&head, 424),
            dump_level: u32_at(&sub, 8),
            split: split.then(|| u64_at(&sub, start)..u64_at(&sub, end)),
            max_mapnr,
            bitmap_at: (1 + u64::from(sub_blocks)) * PAGE_SIZE,
            bitmap_bytes: bitmap_bytes / 2,
            vmcoreinfo: (u64_at(&sub, 32), u64_at(&sub, 40)),
            notes: (u64_at(&sub, 48), u64_at(&sub, 56)),
        })
    }
}

/// An opened kdump-compressed file.
pub struct Kdump<S> {
    source: S,
    header: Header,
    /// Dumped pages before each block of the second bitmap, and the total at the end.
    ranks: Vec<u64>,
    descs_at: u64,
    notes: Vec<u8>,
    vmcoreinfo: Vec<u8>,
    cache: Mutex<Cache>,
}

/// Recently read pages: page tables and kernel structures are read again and again.
struct Cache {
    decoder: Decoder,
    pages: Vec<(u64, Box<[u8]>)>,
}

/// Where a page lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageDesc {
    /// Byte offset of the data; 0 for a page that an incomplete dump lost.
    pub offset: u64,
    /// Stored length in bytes.
    pub bytes: u32,
    /// Codec bits.
    pub flags: u32,
}

impl PageDesc {
    pub(crate) fn parse(raw: &[u8]) -> PageDesc {
        PageDesc {
            offset: u64_at(raw, 0),
            bytes: u32_at(raw, 8),
            flags: u32_at(raw, 12),
        }
    }
}

impl<S: ReadAt> Kdump<S> {
    /// Reads the headers, the notes and the bitmap of dumped pages.
    ///
    /// # Errors
    /// [`Error::Format`] for impossible headers, [`Error::Truncated`] when the file ends before the last page.
    pub fn new(source: S) -> Result<Kdump<S>> {
        let header = Header::read(&source)?;
        let bitmap2_at = header.bitmap_at + header.bitmap_bytes;
        source.check(bitmap2_at, header.bitmap_bytes, "kdump bitmap")?;
        let ranks = rank_blocks(&source, bitmap2_at, &header)?;
        let text = |(at, bytes), limit, what| match bytes {
            0 => Ok(Vec::new()),
            bytes => source.read_vec(at, bytes, limit, what),
        };
        let notes = text(header.notes, MAX_NOTES_BYTES, "kdump notes")?;
        let limit = vmcoreinfo::MAX_BYTES as u64;
        let vmcoreinfo = text(header.vmcoreinfo, limit, "kdump VMCOREINFO")?;
        let kdump = Kdump {
            descs_at: bitmap2_at + header.bitmap_bytes,
            source,
            header,
            ranks,
            notes,
            vmcoreinfo,
            cache: Mutex::new(Cache {
                decoder: Decoder::default(),
                pages: Vec::with_capacity(CACHED_PAGES),
            }),
        };
        kdump.check_end()?;
        Ok(kdump)
    }

    /// How many pages are in the file.
    pub fn page_count(&self) -> u64 {
        self.ranks.last().copied().unwrap_or(0)
    }

    /// The page frames of this file, if it is one of a split set.
    pub fn split(&self) -> Option<Range<u64>> {
        self.header.split.clone()
    }

    /// The codec bits of the header.
    pub fn status(&self) -> u32 {
        self.header.status
    }

    /// First page frame number that cannot exist.
    pub fn max_pfn(&self) -> Pfn {
        Pfn(self.header.max_mapnr)
    }

    /// The descriptor table must be whole, and the data of its last entries too: writers append in page order, so
    /// that is enough to see a cut anywhere. Zero pages share data at the start, so they do not count as last entries.
    fn check_end(&self) -> Result<()> {
        if self.is_incomplete() {
            return Ok(());
        }
        let count = match &self.header.split {
            None => self.page_count(),
            Some(range) => {
                let max = self.header.max_mapnr;
                let before = self.bit_rank(range.start.min(max))?;
                self.bit_rank(range.end.min(max))?.saturating_sub(before)
            }
        };
        let Some(bytes) = count.checked_mul(DESC_BYTES) else {
            return Err(Error::format("kdump bitmap", format!("{count} pages")));
        };
        self.source
            .check(self.descs_at, bytes, "kdump page descriptors")?;
        let shared = self.descs_at + bytes;
        let (mut end, mut own_data) = (count, 0);
        let mut raw = Vec::new();
        while end > 0 && own_data < LAST_PAGES {
            let start = end.saturating_sub(LAST_PAGES);
            raw.resize(((end - start) * DESC_BYTES) as usize, 0);
            let at = self.descs_at + start * DESC_BYTES;
            self.source
                .read_at(at, &mut raw, "kdump page descriptors")?;
            for desc in raw.chunks_exact(DESC_BYTES as usize).map(PageDesc::parse) {
                self.source
                    .check(desc.offset, desc.bytes.into(), "kdump page data")?;
                own_data += u64::from(desc.offset > shared);
            }
            end = start;
        }
        Ok(())
    }

    fn desc(&self, index: u64) -> Result<PageDesc> {
        let mut raw = [0; DESC_BYTES as usize];
        let at = self
            .descs_at
            .saturating_add(index.saturating_mul(DESC_BYTES));
        self.source.read_at(at, &mut raw, "kdump page descriptor")?;
        Ok(PageDesc::parse(&raw))
    }

    /// Whether the page is in a bitmap (0: RAM, 1: dumped).
    fn bit(&self, which: u64, pfn: Pfn) -> Result<bool> {
        if pfn.0 >= self.header.max_mapnr {
            return Ok(false);
        }
        let mut byte = [0];
        let at = self.header.bitmap_at + which * self.header.bitmap_bytes + pfn.0 / 8;
        self.source.read_at(at, &mut byte, "kdump bitmap")?;
        Ok(byte[0] >> (pfn.0 % 8) & 1 == 1)
    }

    /// The descriptor of a page.
    ///
    /// # Errors
    /// [`Error::Absent`] with the reason.
    pub fn page_desc(&self, pfn: Pfn) -> Result<PageDesc> {
        let absent = |why| Err(Error::Absent(pfn.addr(), why));
        if !self.bit(1, pfn)? {
            let ram = self.bit(0, pfn)?;
            return absent(if ram {
                Absence::Excluded
            } else {
                Absence::NoRam
            });
        }
        let mut index = self.bit_rank(pfn.0)?;
        if let Some(split) = &self.header.split {
            if !split.contains(&pfn.0) {
                return absent(Absence::Lost);
            }
            let first = self.bit_rank(split.start)?;
            index = index.saturating_sub(first);
        }
        match self.desc(index) {
            Ok(desc) if desc.offset == 0 => absent(Absence::Lost),
            Err(Error::Truncated { .. }) if self.is_incomplete() => absent(Absence::Lost),
            other => other,
        }
    }

    /// Dumped pages below `pfn`, in all files of a split set.
    fn bit_rank(&self, pfn: u64) -> Result<u64> {
        let before = self.ranks.get((pfn / PFNS_PER_BLOCK) as usize);
        let before = before.copied().unwrap_or_else(|| self.page_count());
        let bytes = (pfn % PFNS_PER_BLOCK).div_ceil(8) as usize;
        if bytes == 0 {
            return Ok(before);
        }
        let mut bits = vec![0; bytes];
        let block_at = pfn / PFNS_PER_BLOCK * PAGE_SIZE;
        let at = self.header.bitmap_at + self.header.bitmap_bytes + block_at;
        self.source.read_at(at, &mut bits, "kdump bitmap")?;
        if pfn % 8 != 0 {
            bits[bytes - 1] &= (1 << (pfn % 8)) - 1;
        }
        Ok(before + count_ones(&bits))
    }

    fn load_page(&self, pfn: Pfn, decoder: &mut Decoder, page: &mut [u8]) -> Result<()> {
        let desc = self.page_desc(pfn)?;
        let Some(codec) = Codec::from_flags(desc.flags) else {
            return Err(Error::format(
                "kdump page descriptor",
                format!(
                    "codec bits {:#x} of {pfn}, valid are 0, 1, 2, 4 and 0x20",
                    desc.flags
                ),
            ));
        };
        let data = self.source.read_vec(
            desc.offset,
            desc.bytes.into(),
            2 * PAGE_SIZE,
            "kdump page data",
        );
        match data {
            Err(Error::Truncated { .. }) if self.is_incomplete() => {
                Err(Error::Absent(pfn.addr(), Absence::Lost))
            }
            data => decoder.decode(codec, &data?, page),
        }
    }
}

fn count_ones(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8);
    let rest = words.remainder().iter().map(|b| u64::from(b.count_ones()));
    rest.sum::<u64>()
        + words
            .map(|w| u64::from(u64_at(w, 0).count_ones()))
            .sum::<u64>()
}

fn rank_blocks(source: &impl ReadAt, bitmap_at: u64, header: &Header) -> Result<Vec<u64>> {
    let blocks = header.max_mapnr.div_ceil(PFNS_PER_BLOCK);
    let mut ranks = Vec::with_capacity(blocks as usize + 1);
    let mut total = 0;
    let mut buf = vec![0; 64 * PAGE_SIZE as usize];
    for first in (0..blocks).step_by(64) {
        let now = (blocks - first).min(64) * PAGE_SIZE;
        let buf = &mut buf[..now as usize];
        source.read_at(bitmap_at + first * PAGE_SIZE, buf, "kdump bitmap")?;
        for block in buf.chunks_exact(PAGE_SIZE as usize) {
            ranks.push(total);
            total += count_ones(block);
        }
    }
    ranks.push(total);
    Ok(ranks)
}

/// Adds a page to the end of ascending ranges.
fn push_pfn(ranges: &mut Vec<Range<Pfn>>, pfn: u64) -> Result<()> {
    if let Some(last) = ranges.last_mut().filter(|last| last.end.0 == pfn) {
        last.end.0 += 1;
        return Ok(());
    }
    if ranges.len() == MAX_RANGES {
        return Err(Error::format(
            "kdump bitmap",
            "more than 2^20 ranges of RAM",
        ));
    }
    ranges.push(Pfn(pfn)..Pfn(pfn + 1));
    Ok(())
}

impl<S: ReadAt> Kdump<S> {
    fn bitmap_block(&self, which: u64, block: u64) -> Result<Bits> {
        let mut bits = EMPTY;
        let first = block.saturating_mul(BLOCK_PFNS);
        if first >= self.header.max_mapnr {
            return Ok(bits);
        }
        let mut raw = [0; BLOCK_PFNS as usize / 8];
        let at = self.header.bitmap_at + which * self.header.bitmap_bytes + first / 8;
        self.source.read_at(at, &mut raw, "kdump bitmap")?;
        for (word, raw) in bits.iter_mut().zip(raw.chunks_exact(8)) {
            *word = u64_at(raw, 0);
        }
        // Bits beyond the last page frame are padding.
        let valid = (self.header.max_mapnr - first).min(BLOCK_PFNS);
        let mut mask = EMPTY;
        map::set_range(&mut mask, 0..valid);
        bits.iter_mut()
            .zip(mask)
            .for_each(|(word, mask)| *word &= mask);
        Ok(bits)
    }
}

impl<S: ReadAt> Image for Kdump<S> {
    fn read_phys(&self, addr: PhysAddr, buf: &mut [u8]) -> Result<()> {
        // A panic of another thread while it held the lock leaves at worst a page that is read again.
        let mut cache = self.cache.lock().unwrap_or_else(|e| e.into_inner());
        let (mut at, mut rest) = (addr.0, buf);
        while !rest.is_empty() {
            let (pfn, within) = (PhysAddr(at).pfn(), (at % PAGE_SIZE) as usize);
            let bytes = rest.len().min(PAGE_SIZE as usize - within);
            let (now, later) = rest.split_at_mut(bytes);
            now.copy_from_slice(&cache.page(self, pfn)?[within..within + bytes]);
            at = at.wrapping_add(bytes as u64);
            rest = later;
        }
        Ok(())
    }

    fn ram(&self) -> Result<Vec<Range<Pfn>>> {
        let mut ranges: Vec<Range<Pfn>> = Vec::new();
        let mut bits = [0; PAGE_SIZE as usize];
        for block in 0..self.header.max_mapnr.div_ceil(PFNS_PER_BLOCK) {
            let at = self.header.bitmap_at + block * PAGE_SIZE;
            self.source.read_at(at, &mut bits, "kdump bitmap")?;
            for (i, byte) in bits.iter().enumerate().filter(|(_, byte)| **byte != 0) {
                for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
                    push_pfn(&mut ranges, block * PFNS_PER_BLOCK + i as u64 * 8 + bit)?;
                }
            }
        }
        Ok(ranges)
    }

    fn block(&self, block: u64) -> Result<(Bits, Bits)> {
        let (ram, mut present) = (self.bitmap_block(0, block)?, self.bitmap_block(1, block)?);
        if let Some(split) = &self.header.split {
            let first = block * BLOCK_PFNS;
            let range = split.start.saturating_sub(first)..split.end.saturating_sub(first);
            let mut mask = EMPTY;
            map::set_range(
                &mut mask,
                range.start.min(BLOCK_PFNS)..range.end.min(BLOCK_PFNS),
            );
            present
                .iter_mut()
                .zip(mask)
                .for_each(|(word, mask)| *word &= mask);
        }
        Ok((ram, present))
    }

    fn notes(&self) -> &[u8] {
        &self.notes
    }

    fn vmcoreinfo_text(&self) -> Option<&[u8]> {
        Some(&self.vmcoreinfo)
            .filter(|text| !text.is_empty())
            .map(Vec::as_slice)
    }

    fn is_incomplete(&self) -> bool {
        self.header.status & STATUS_INCOMPLETE != 0
    }

    fn format(&self) -> Format {
        Format::Kdump
    }

    fn dump_level(&self) -> Option<u32> {
        Some(self.header.dump_level)
    }
}

impl Cache {
    fn page<S: ReadAt>(&mut self, kdump: &Kdump<S>, pfn: Pfn) -> Result<&[u8]> {
        let slot = pfn.0 as usize % CACHED_PAGES;
        if self.pages.is_empty() {
            let page = || (u64::MAX, vec![0; PAGE_SIZE as usize].into_boxed_slice());
            self.pages.resize_with(CACHED_PAGES, page);
        }
        let (cached, page) = &mut self.pages[slot];
        if *cached != pfn.0 {
            *cached = u64::MAX;
            kdump.load_page(pfn, &mut self.decoder, page)?;
            *cached = pfn.0;
        }
        Ok(page)
    }
}
