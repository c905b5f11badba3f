// SPDX-License-Identifier: GPL-2.0-or-later
//! A crashed machine of 8 MiB that fits into a test: page tables, struct pages, a kernel log, a symbol table.
//!
//! Physical memory (MiB): 0 page tables and structures, 2 kernel image, 4 struct pages, 6 pages of all classes.

#![allow(dead_code, reason = "each test program uses another part")]

use std::sync::Mutex;
use vmcore::codec::Codec;
use vmcore::pages::{Level, PageLayout, Scan, scan};
use vmcore::write::pipeline::Job;
use vmcore::write::{Check, KdumpOptions, Output, write_kdump};
use vmcore::{Dump, Error, Result};

pub const PAGE: usize = 4096;
pub const RAM_BYTES: usize = 8 << 20;
/// Where the pages begin whose classes a test sets.
pub const FIRST: u64 = (6 << 20) / PAGE as u64;

const IMAGE: u64 = 0xffff_ffff_8000_0000;
const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
pub const VMEMMAP: u64 = 0xffff_ea00_0000_0000;
pub const MEMMAP_AT: usize = 4 << 20;
pub const PGD: usize = 0x2000;
const SECTION_ROOTS: usize = 0x8000;
const SECTIONS: usize = 0x9000;
const RING: usize = 0xa000;
const DESCS: usize = 0xb000;
const INFOS: usize = 0xb800;
const TEXT: usize = 0xc000;
const NAMES: usize = 0xd000;
const TOKENS: usize = 0xe000;
const OFFSETS: usize = 0xf000;

pub const FLAG_LRU: u64 = 1 << 5;
pub const FLAG_HEAD: u64 = 1 << 6;
pub const FLAG_SWAPCACHE: u64 = 1 << 10;
pub const FLAG_PRIVATE: u64 = 1 << 14;
pub const FLAG_SWAPBACKED: u64 = 1 << 17;
pub const FLAG_HWPOISON: u64 = 1 << 21;
pub const TYPE_BUDDY: u32 = 0xf000_0000;
pub const TYPE_OFFLINE: u32 = 0xf100_0000;
pub const TYPE_HUGETLB: u32 = 0xf400_0000;
pub const TYPE_SLAB: u32 = 0xf500_0000;
pub const TYPE_UNACCEPTED: u32 = 0xf700_0000;
pub const NO_TYPE: u32 = 0xffff_ffff;

const VMCOREINFO: &str = "OSRELEASE=7.3.4-test\nPAGESIZE=4096\nSYMBOL(init_top_pgt)=ffffffff80002000\n\
SYMBOL(_stext)=ffffffff80200000\nSYMBOL(mem_section)=ffff888000008000\nLENGTH(mem_section)=4096\n\
SIZE(mem_section)=32\nOFFSET(mem_section.section_mem_map)=0\nNUMBER(SECTION_SIZE_BITS)=27\nSIZE(page)=64\n\
OFFSET(page.flags)=0\nOFFSET(page.mapping)=24\nOFFSET(page._mapcount)=48\nOFFSET(page.private)=40\n\
OFFSET(page.compound_info)=8\nNUMBER(PG_lru)=5\nNUMBER(PG_private)=14\nNUMBER(PG_swapcache)=10\n\
NUMBER(PG_swapbacked)=17\nNUMBER(PG_hwpoison)=21\nNUMBER(PG_head_mask)=64\nLENGTH(zone.free_area)=11\n\
NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-268435456\nNUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)=-201326592\n\
NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=-184549376\nNUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-251658240\n\
NUMBER(PAGE_UNACCEPTED_MAPCOUNT_VALUE)=-150994944\nNUMBER(phys_base)=0\nNUMBER(pgtable_l5_enabled)=0\n\
SYMBOL(prb)=ffffffff8000a000\nSIZE(printk_ringbuffer)=88\nOFFSET(printk_ringbuffer.desc_ring)=0\n\
OFFSET(printk_ringbuffer.text_data_ring)=48\nOFFSET(prb_desc_ring.count_bits)=0\nOFFSET(prb_desc_ring.descs)=8\n\
OFFSET(prb_desc_ring.infos)=16\nOFFSET(prb_desc_ring.head_id)=24\nOFFSET(prb_desc_ring.tail_id)=32\n\
SIZE(prb_desc)=24\nOFFSET(prb_desc.state_var)=0\nOFFSET(prb_desc.text_blk_lpos)=8\n\
OFFSET(prb_data_blk_lpos.begin)=0\nOFFSET(prb_data_blk_lpos.next)=8\nSIZE(printk_info)=88\n\
OFFSET(printk_info.ts_nsec)=8\nOFFSET(printk_info.text_len)=16\nOFFSET(prb_data_ring.size_bits)=0\n\
OFFSET(prb_data_ring.data)=8\nOFFSET(atomic_long_t.counter)=0\nSYMBOL(kallsyms_num_syms)=ffffffff8000d800\n\
SYMBOL(kallsyms_names)=ffffffff8000d000\nSYMBOL(kallsyms_token_table)=ffffffff8000e000\n\
SYMBOL(kallsyms_token_index)=ffffffff8000e800\nSYMBOL(kallsyms_offsets)=ffffffff8000f000\n";

/// The machine's memory.
pub struct Machine {
    pub ram: Vec<u8>,
}

impl Machine {
    pub fn new() -> Machine {
        let mut machine = Machine {
            ram: vec![0; RAM_BYTES],
        };
        machine.page_tables();
        machine.sections();
        machine.log(&[b"first line", b"second\nwith two lines"]);
        machine.symbols(&["T_stext", "Dlinux_banner"]);
        // Contents that differ from page to page; every eighth page is all zeros.
        for pfn in FIRST..(RAM_BYTES / PAGE) as u64 {
            machine.page(pfn, 0, 0, 0, 0, NO_TYPE);
            if pfn % 8 != 7 {
                for i in 0..PAGE / 8 {
                    let word = if i % 3 == 0 {
                        pfn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (i % 40)
                    } else {
                        pfn
                    };
                    machine.u64(pfn as usize * PAGE + i * 8, word);
                }
            }
        }
        machine
    }

    pub fn u64(&mut self, at: usize, value: u64) {
        self.ram[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, at: usize, value: u32) {
        self.ram[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn page_tables(&mut self) {
        let index = |addr: u64, level: u32| (addr >> (12 + 9 * (level - 1)) & 0x1ff) as usize * 8;
        let (direct, memmap, image) = (0x3000, 0x4000, 0x6000);
        self.u64(PGD + index(DIRECT_MAP, 4), direct | 1);
        self.u64(direct as usize + index(DIRECT_MAP, 3), 0x81);
        self.u64(PGD + index(VMEMMAP, 4), memmap | 1);
        self.u64(memmap as usize + index(VMEMMAP, 3), 0x5001);
        self.u64(0x5000 + index(VMEMMAP, 2), MEMMAP_AT as u64 | 0x81);
        self.u64(PGD + index(IMAGE, 4), image | 1);
        self.u64(image as usize + index(IMAGE, 3), 0x7001);
        for i in 0..4 {
            self.u64(0x7000 + i * 8, (i as u64) << 21 | 0x81);
        }
    }

    fn sections(&mut self) {
        self.u64(SECTION_ROOTS, DIRECT_MAP + SECTIONS as u64);
        self.u64(SECTIONS, VMEMMAP | 7);
    }

    fn log(&mut self, lines: &[&[u8]]) {
        self.u64(RING, IMAGE + RING as u64 + 8);
        let ring = RING + 8;
        self.u32(ring, 3);
        self.u64(ring + 8, IMAGE + DESCS as u64);
        self.u64(ring + 16, IMAGE + INFOS as u64);
        self.u64(ring + 24, lines.len() as u64 - 1);
        self.u32(ring + 48, 9);
        self.u64(ring + 56, IMAGE + TEXT as u64);
        let mut at = 0;
        for (id, line) in lines.iter().enumerate() {
            let next = (at + 8 + line.len()).next_multiple_of(8);
            self.u64(DESCS + id * 24, 2 << 62 | id as u64);
            self.u64(DESCS + id * 24 + 8, at as u64);
            self.u64(DESCS + id * 24 + 16, next as u64);
            self.u64(INFOS + id * 88 + 8, 1_500_000_000);
            self.ram[INFOS + id * 88 + 16] = line.len() as u8;
            self.ram[TEXT + at + 8..TEXT + at + 8 + line.len()].copy_from_slice(line);
            at = next;
        }
    }

    fn symbols(&mut self, names: &[&str]) {
        // Token i is the character i.
        for i in 0..256usize {
            self.ram[TOKENS + 2 * i] = i as u8;
            self.ram[TOKENS + 0x800 + 2 * i..][..2].copy_from_slice(&(2 * i as u16).to_le_bytes());
        }
        self.u32(NAMES + 0x800, names.len() as u32);
        let mut at = NAMES;
        for (i, name) in names.iter().enumerate() {
            self.ram[at] = name.len() as u8;
            self.ram[at + 1..at + 1 + name.len()].copy_from_slice(name.as_bytes());
            at += 1 + name.len();
            let entry = OFFSETS + 4 * i;
            self.u32(entry, (0x20_0000 + 16 * i - entry) as u32);
        }
    }

    /// Fills one struct page.
    pub fn page(&mut self, pfn: u64, flags: u64, info: u64, mapping: u64, private: u64, kind: u32) {
        let at = MEMMAP_AT + pfn as usize * 64;
        self.u64(at, flags);
        self.u64(at + 8, info);
        self.u64(at + 24, mapping);
        self.u64(at + 40, private);
        self.u32(at + 48, kind);
    }

    /// A compound page: a head with these words, and tails whose other words are noise that must not matter.
    pub fn folio(&mut self, pfn: u64, order: u32, flags: u64, mapping: u64, kind: u32) {
        self.page(pfn, flags | FLAG_HEAD, 0, mapping, 0, kind);
        for tail in 1..1 << order {
            let order_byte = if tail == 1 { u64::from(order) } else { 0 };
            self.page(
                pfn + tail,
                FLAG_SWAPBACKED | order_byte,
                0xffff_f001,
                0x1,
                0x77,
                NO_TYPE,
            );
        }
    }

    /// The vmcore: two runs of RAM, the first with half a page at its end, and the image once more by itself.
    pub fn elf(&self) -> Vec<u8> {
        let notes = notes();
        let loads = [
            (0x20_0000, 0x10_0000),
            (0x1000, 0x9_e800),
            (0x10_0000, 0x70_0000),
        ];
        let mut out = vec![0; 64 + 56 * 4];
        out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        let put = |out: &mut Vec<u8>, at: usize, bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes)
        };
        put(&mut out, 16, &[4, 0, 62, 0]);
        put(&mut out, 32, &64u64.to_le_bytes());
        put(&mut out, 54, &[56, 0, 4, 0]);
        put(&mut out, 64, &4u32.to_le_bytes());
        let notes_at = out.len() as u64;
        put(&mut out, 72, &notes_at.to_le_bytes());
        put(&mut out, 96, &(notes.len() as u64).to_le_bytes());
        let mut data = notes;
        for (i, (start, bytes)) in loads.into_iter().enumerate() {
            let at = 64 + 56 * (i + 1);
            let offset = out.len() + data.len();
            put(&mut out, at, &1u32.to_le_bytes());
            for (field, value) in [(8, offset), (24, start), (32, bytes), (40, bytes)] {
                put(&mut out, at + field, &(value as u64).to_le_bytes());
            }
            data.extend(&self.ram[start..start + bytes]);
        }
        out.extend(data);
        out
    }

    pub fn dump(&self) -> Dump {
        Dump::from_source(self.elf()).expect("a good dump opens")
    }
}

fn notes() -> Vec<u8> {
    let mut out = Vec::new();
    let mut status = vec![0; 336];
    status[32] = 42;
    status[112 + 16 * 8..][..8].copy_from_slice(&0xffff_ffff_8020_0010u64.to_le_bytes());
    let notes: [(&[u8], u32, &[u8]); 2] = [
        (b"CORE\0", 1, &status),
        (b"VMCOREINFO\0", 0, VMCOREINFO.as_bytes()),
    ];
    for (name, kind, desc) in notes {
        for word in [name.len() as u32, desc.len() as u32, kind] {
            out.extend(word.to_le_bytes());
        }
        for part in [name, desc] {
            out.extend(part);
            out.resize(out.len().next_multiple_of(4), 0);
        }
    }
    out
}

/// The pages of `dump` that `level` keeps.
pub fn scan_of(dump: &Dump, level: Level) -> Scan {
    let layout = PageLayout::new(dump.vmcoreinfo()).expect("layout");
    scan::scan(dump, Some(&layout), level).expect("scan")
}

pub fn job(codec: Codec, threads: usize, check: Check) -> Job {
    Job {
        codec,
        level: None,
        threads,
        check,
    }
}

/// One file with what `level` keeps.
pub fn options(level: Level, job: Job) -> KdumpOptions {
    KdumpOptions {
        job,
        level,
        split: None,
    }
}

/// Filters `dump` for a test of readers: nothing is checked while it is written.
pub fn filter(dump: &Dump, level: Level, codec: Codec, out: &mut dyn Output) {
    let options = options(level, job(codec, 1, Check::No));
    write_kdump(dump, &scan_of(dump, level), &options, out, &()).expect("written");
}

/// An output in memory that is full at some point.
pub struct MemoryOutput {
    pub bytes: Vec<u8>,
    pub limit: usize,
}

impl MemoryOutput {
    pub fn new() -> MemoryOutput {
        MemoryOutput {
            bytes: Vec::new(),
            limit: usize::MAX,
        }
    }
}

impl Output for MemoryOutput {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset as usize + bytes.len();
        if end > self.limit {
            return Err(Error::NoSpace { at: offset });
        }
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn reserve(&mut self, bytes: u64) -> Result<()> {
        if bytes as usize > self.limit {
            return Err(Error::NoSpace { at: bytes });
        }
        self.bytes.resize(bytes as usize, 0);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A disk that can be read back, and that flips one bit of what is written at a place.
pub struct BadDisk {
    pub disk: MemoryOutput,
    pub bad_byte: usize,
}

impl Output for BadDisk {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.disk.write_at(offset, bytes)?;
        if (offset as usize..offset as usize + bytes.len()).contains(&self.bad_byte) {
            self.disk.bytes[self.bad_byte] ^= 0x10;
        }
        Ok(())
    }

    fn reserve(&mut self, bytes: u64) -> Result<()> {
        self.disk.reserve(bytes)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    fn read_back(&self) -> Option<Box<dyn vmcore::source::ReadAt>> {
        Some(Box::new(self.disk.bytes.clone()))
    }
}

/// A stream that can be looked at afterwards.
#[derive(Clone, Default)]
pub struct SharedStream(pub std::sync::Arc<Mutex<Vec<u8>>>);

impl std::io::Write for SharedStream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
