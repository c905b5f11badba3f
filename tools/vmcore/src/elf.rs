// SPDX-License-Identifier: GPL-2.0-or-later
//! ELF cores: /proc/vmcore, /proc/kcore, QEMU dumps, our own `-E` output.
//!
//! Source: elf(5), fs/proc/vmcore.c. Segments may overlap (the kernel image is listed by itself and as part of RAM),
//! may lie unsorted and may be only partly in the file (`p_filesz < p_memsz`: the rest was filtered out and reads as
//! zeros, as in every debugger).

use crate::addr::{PAGE_SHIFT, PAGE_SIZE, Pfn, PhysAddr};
use crate::bytes::{u16_at, u32_at, u64_at};
use crate::error::{Absence, Error, Result};
use crate::image::{Format, Image, WINDOW_PFNS};
use crate::notes::MAX_NOTES_BYTES;
use crate::pages::map::{self, BLOCK_PFNS, Bits, EMPTY};
use crate::source::{Map, ReadAt};
use std::ops::Range;

const EHDR_BYTES: u64 = 64;
const PHDR_BYTES: u64 = 56;
const SHDR_BYTES: u64 = 64;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const EM_X86_64: u16 = 62;
const ET_CORE: u16 = 4;
const PN_XNUM: u16 = 0xffff;
/// Program headers that are read at most; the `-E` output needs one per hole in memory.
const MAX_PHDRS: u64 = 4 << 20;
/// `e_flags` bit of an incomplete `-E` output.
pub(crate) const FLAG_INCOMPLETE: u32 = 1;

/// A run of physical memory without overlaps.
#[derive(Debug, Clone, Copy)]
struct Extent {
    start: u64,
    /// End of the memory.
    end: u64,
    /// End of what is in the file; `start <= file_end <= end`.
    file_end: u64,
    /// File offset of `start`.
    offset: u64,
}

/// An opened ELF core.
pub struct Elf<S> {
    source: S,
    extents: Vec<Extent>,
    notes: Vec<u8>,
    incomplete: bool,
}

impl<S: ReadAt> Elf<S> {
    /// Reads the headers and notes.
    ///
    /// # Errors
    /// [`Error::Format`] for other machines, classes and impossible headers, [`Error::Truncated`] when a segment of a
    /// dump that is not marked incomplete lies beyond the end of the file.
    pub fn new(source: S) -> Result<Elf<S>> {
        let header = source.read_vec(0, EHDR_BYTES, EHDR_BYTES, "ELF header")?;
        check_header(&header)?;
        let incomplete = u32_at(&header, 48) & FLAG_INCOMPLETE != 0;
        let count = phdr_count(&source, &header)?;
        let table = source.read_vec(
            u64_at(&header, 32),
            count * PHDR_BYTES,
            MAX_PHDRS * PHDR_BYTES,
            "ELF program header table",
        )?;
        let mut loads = Vec::new();
        let mut notes = Vec::new();
        for phdr in table.chunks_exact(PHDR_BYTES as usize) {
            match u32_at(phdr, 0) {
                PT_LOAD => loads.extend(load_extent(phdr, &source, incomplete)?),
                PT_NOTE => {
                    let left = MAX_NOTES_BYTES - notes.len() as u64;
                    let (at, bytes) = (u64_at(phdr, 8), u64_at(phdr, 32));
                    notes.extend(source.read_vec(at, bytes, left, "ELF note segment")?);
                    notes.resize(notes.len().next_multiple_of(4), 0);
                }
                _ => {}
            }
        }
        Ok(Elf {
            source,
            extents: without_overlaps(loads),
            notes,
            incomplete,
        })
    }
}

impl<S: ReadAt> Elf<S> {
    /// Reads what there is, zeros for the rest: pages at the ends of RAM need not be whole.
    fn read_partial(&self, start: u64, buf: &mut [u8]) -> Result<()> {
        buf.fill(0);
        let end = start.saturating_add(buf.len() as u64);
        let first = self.extents.partition_point(|e| e.end <= start);
        for extent in self.extents[first..].iter().take_while(|e| e.start < end) {
            let (from, to) = (extent.start.max(start), extent.file_end.min(end));
            if from < to {
                let part = &mut buf[(from - start) as usize..(to - start) as usize];
                let offset = extent.offset.saturating_add(from - extent.start);
                self.source.read_at(offset, part, "ELF segment")?;
            }
        }
        Ok(())
    }
}

fn check_header(header: &[u8]) -> Result<()> {
    let bad = |detail: String| Err(Error::format("ELF header", detail));
    if header[..4] != *b"\x7fELF" {
        return bad("no ELF magic".into());
    }
    if header[4] != 2 || header[5] != 1 {
        let (class, data) = (header[4], header[5]);
        return bad(format!(
            "class {class} data {data}, valid is 2 (64 bits) and 1 (little endian)"
        ));
    }
    let (kind, machine) = (u16_at(header, 16), u16_at(header, 18));
    if kind != ET_CORE || machine != EM_X86_64 {
        return bad(format!(
            "type {kind} machine {machine}, valid is 4 (core) and 62 (x86_64)"
        ));
    }
    let entry = u16_at(header, 54);
    if u64::from(entry) != PHDR_BYTES {
        return bad(format!(
            "program headers of {entry} bytes, valid is {PHDR_BYTES}"
        ));
    }
    Ok(())
}

/// With more than 65534 segments the count stands in the first section header (elf(5), PN_XNUM).
fn phdr_count(source: &impl ReadAt, header: &[u8]) -> Result<u64> {
    let count = u16_at(header, 56);
    if count != PN_XNUM {
        return Ok(count.into());
    }
    let section = source.read_vec(
        u64_at(header, 40),
        SHDR_BYTES,
        SHDR_BYTES,
        "first ELF section header",
    )?;
    Ok(u32_at(&section, 44).into())
}

/// The memory of one PT_LOAD; none when it is empty or has no physical address (vmalloc area of /proc/kcore).
fn load_extent(phdr: &[u8], source: &impl ReadAt, incomplete: bool) -> Result<Option<Extent>> {
    let (offset, start) = (u64_at(phdr, 8), u64_at(phdr, 24));
    let (mut file_bytes, mem_bytes) = (u64_at(phdr, 32), u64_at(phdr, 40));
    if start == u64::MAX || mem_bytes.max(file_bytes) == 0 {
        return Ok(None);
    }
    let mem_bytes = mem_bytes.max(file_bytes);
    let Some(end) = start.checked_add(mem_bytes) else {
        return Err(Error::format(
            "ELF segment",
            format!(
                "{mem_bytes:#x} bytes from physical address {start:#x} leave the address space"
            ),
        ));
    };
    if incomplete {
        file_bytes = file_bytes.min(source.len().saturating_sub(offset));
    } else {
        source.check(offset, file_bytes, "ELF segment")?;
    }
    Ok(Some(Extent {
        start,
        end,
        file_end: start + file_bytes,
        offset,
    }))
}

/// Sorts and cuts away what an earlier extent already covers.
fn without_overlaps(mut extents: Vec<Extent>) -> Vec<Extent> {
    // At the same start the one with more contents first.
    extents.sort_by_key(|e| (e.start, u64::MAX - e.file_end));
    let mut out: Vec<Extent> = Vec::with_capacity(extents.len());
    let mut covered = 0;
    for mut extent in extents {
        if extent.start < covered {
            let cut = covered - extent.start;
            extent.start = covered.min(extent.end);
            extent.offset = extent.offset.saturating_add(cut);
            extent.file_end = extent.file_end.max(extent.start);
        }
        if extent.start < extent.end {
            covered = extent.end;
            out.push(extent);
        }
    }
    out
}

impl<S: ReadAt> Image for Elf<S> {
    fn read_phys(&self, addr: PhysAddr, buf: &mut [u8]) -> Result<()> {
        let (mut at, mut rest) = (addr.0, buf);
        while !rest.is_empty() {
            let absent = Error::Absent(PhysAddr(at), Absence::NoRam);
            let index = self.extents.partition_point(|e| e.end <= at);
            let Some(extent) = self.extents.get(index).filter(|e| e.start <= at) else {
                return Err(absent);
            };
            let in_file = at < extent.file_end;
            let limit = if in_file { extent.file_end } else { extent.end };
            let bytes = (limit - at).min(rest.len() as u64);
            let (now, later) = rest.split_at_mut(bytes as usize);
            if in_file {
                let offset = extent.offset.saturating_add(at - extent.start);
                self.source.read_at(offset, now, "ELF segment")?;
            } else if self.incomplete {
                return Err(Error::Absent(PhysAddr(at), Absence::Lost));
            } else {
                now.fill(0);
            }
            at += bytes;
            rest = later;
        }
        Ok(())
    }

    fn ram(&self) -> Result<Vec<Range<Pfn>>> {
        let mut ranges: Vec<Range<Pfn>> = Vec::new();
        for extent in &self.extents {
            let start = Pfn(extent.start >> PAGE_SHIFT);
            let end = Pfn(extent.end.div_ceil(PAGE_SIZE));
            match ranges.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => ranges.push(start..end),
            }
        }
        Ok(ranges)
    }

    fn block(&self, block: u64) -> Result<(Bits, Bits)> {
        let (mut ram, mut present) = (EMPTY, EMPTY);
        let bytes = BLOCK_PFNS * PAGE_SIZE;
        let start = block.saturating_mul(bytes);
        let end = start.saturating_add(bytes);
        let first = self.extents.partition_point(|e| e.end <= start);
        for extent in self.extents[first..].iter().take_while(|e| e.start < end) {
            let mark = |bits: &mut Bits, to: u64| {
                let from = extent.start.max(start) - start;
                let to = to.clamp(start, end) - start;
                if from < to {
                    map::set_range(bits, from / PAGE_SIZE..to.div_ceil(PAGE_SIZE));
                }
            };
            mark(&mut ram, extent.end);
            mark(&mut present, extent.file_end);
        }
        Ok((ram, present))
    }

    fn read_pages(&self, pfn: Pfn, buf: &mut [u8]) -> Result<()> {
        match self.read_phys(pfn.addr(), buf) {
            Err(Error::Absent(_, Absence::NoRam)) => self.read_partial(pfn.addr().0, buf),
            other => other,
        }
    }

    fn window(&self, pfn: Pfn) -> Option<(Pfn, Map)> {
        let window = (pfn.0 & !(WINDOW_PFNS - 1)) * PAGE_SIZE;
        let index = self.extents.partition_point(|e| e.end <= pfn.addr().0);
        let extent = self
            .extents
            .get(index)
            .filter(|e| e.start <= pfn.addr().0)?;
        // Whole pages only; what is left over is read.
        let start = window.max(extent.start.next_multiple_of(PAGE_SIZE));
        let end = (window + WINDOW_PFNS * PAGE_SIZE).min(extent.file_end) & !(PAGE_SIZE - 1);
        let offset = extent.offset + start.checked_sub(extent.start)?;
        if pfn.addr().0 < start || pfn.addr().0 >= end {
            return None;
        }
        let map = self.source.map(offset, (end - start) as usize)?;
        Some((Pfn(start / PAGE_SIZE), map))
    }

    fn notes(&self) -> &[u8] {
        &self.notes
    }

    fn vmcoreinfo_text(&self) -> Option<&[u8]> {
        None
    }

    fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    fn format(&self) -> Format {
        Format::Elf
    }
}
