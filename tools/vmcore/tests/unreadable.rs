// SPDX-License-Identifier: GPL-2.0-or-later
//! A source that refuses some reads: what it does give is in the dump, and the dump says that it is incomplete.

mod machine;

use machine::*;
use std::ops::Range;
use vmcore::codec::Codec;
use vmcore::pages::{Class, Level, PageLayout, scan};
use vmcore::source::ReadAt;
use vmcore::write::{Check, Written, write_elf, write_kdump};
use vmcore::{Absence, Dump, Error, Pfn, Result};

/// A vmcore on a disk with bad sectors.
struct BadSectors {
    file: Vec<u8>,
    bad: Vec<Range<u64>>,
}

impl ReadAt for BadSectors {
    fn read_at(&self, offset: u64, buf: &mut [u8], what: &'static str) -> Result<()> {
        let end = offset + buf.len() as u64;
        if self.bad.iter().any(|b| b.start < end && offset < b.end) {
            let source = std::io::Error::from_raw_os_error(5);
            let what = what.into();
            return Err(Error::Io { what, source });
        }
        self.file.read_at(offset, buf, what)
    }

    fn len(&self) -> u64 {
        ReadAt::len(&self.file)
    }
}

/// The machine's vmcore without these pages. RAM above 1 MiB is the last segment of the file.
fn without(machine: &Machine, pfns: &[u64]) -> Dump {
    let file = machine.elf();
    let end = file.len() as u64;
    let at = |pfn: u64| end - (machine.ram.len() as u64 - pfn * PAGE as u64);
    let bad = pfns.iter().map(|&pfn| at(pfn)..at(pfn + 1)).collect();
    Dump::from_source(BadSectors { file, bad }).expect("the headers can be read")
}

fn write(dump: &Dump, elf: bool, level: Level, threads: usize) -> (Dump, Written) {
    let mut out = MemoryOutput::new();
    let scan = scan_of(dump, level);
    let job = job(Codec::Zstd, threads, Check::Encoded);
    let written = match elf {
        true => write_elf(dump, &scan, level, job, &mut out, &()),
        false => write_kdump(dump, &scan, &options(level, job), &mut out, &()),
    };
    let opened = Dump::from_source(out.bytes).expect("opens");
    (opened, written.expect("written"))
}

#[test]
fn unreadable_pages_are_named_and_all_others_are_there() {
    let machine = Machine::new();
    let bad = [FIRST, FIRST + 1, FIRST + 9];
    for (elf, threads) in [(false, 1), (false, 3), (true, 1)] {
        let source = without(&machine, &bad);
        let (dump, written) = write(&source, elf, Level::NONE, threads);
        assert_eq!(written.unreadable.pages, 3);
        let runs = [FIRST..FIRST + 2, FIRST + 9..FIRST + 10];
        assert_eq!(written.unreadable.runs, runs);
        assert!(dump.is_incomplete());
        for pfn in FIRST..(machine.ram.len() / PAGE) as u64 {
            let mut page = vec![1; PAGE];
            let result = dump.read_pages(Pfn(pfn), &mut page);
            if !bad.contains(&pfn) {
                result.expect("a page that could be read");
                let at = pfn as usize * PAGE;
                assert!(page == machine.ram[at..at + PAGE], "{pfn:#x} differs");
            } else if !elf {
                assert!(matches!(result, Err(Error::Absent(_, Absence::Lost))));
            }
        }
    }
}

#[test]
fn pages_whose_struct_page_is_unreadable_are_kept() {
    let mut machine = Machine::new();
    // Free, all of it, by structures in the first two pages of the memory map.
    let per_page = (PAGE / 64) as u64;
    let block = FIRST - FIRST % per_page;
    for pfn in [block, block + per_page] {
        machine.page(pfn, 0, 0, 0, 6, TYPE_BUDDY);
    }
    let structures = (MEMMAP_AT as u64 + block * 64) / PAGE as u64;
    let source = without(&machine, &[structures]);
    let scan = scan_of(&source, Level::MAX);
    assert_eq!(scan.stats.count(Class::Unknown), per_page);
    for pfn in block..block + 2 * per_page {
        assert_eq!(
            scan.kept.contains(Pfn(pfn)),
            pfn < block + per_page,
            "{pfn:#x}"
        );
    }
    let (dump, written) = write(&source, false, Level::MAX, 1);
    let lost = &written.unreadable;
    assert_eq!(
        (lost.pages, &lost.runs[0]),
        (1, &(structures..structures + 1))
    );
    assert!(dump.is_incomplete());
}

#[test]
fn everything_is_kept_when_no_structure_can_be_found() {
    let mut machine = Machine::new();
    // The crash has damaged the kernel's page tables.
    machine.u64(PGD + (VMEMMAP >> 39 & 0x1ff) as usize * 8, 0);
    let dump = machine.dump();
    let layout = PageLayout::new(dump.vmcoreinfo()).expect("layout");
    let scan = scan::scan(&dump, Some(&layout), Level::MAX).expect("a scan");
    assert_eq!(scan.stats.count(Class::Unknown), scan.stats.total());
    assert_eq!(scan.kept.count(), scan.ram.count());
    let (dump, written) = write(&dump, false, Level::MAX, 1);
    assert_eq!(written.unreadable.pages, 0);
    assert!(!dump.is_incomplete(), "nothing is missing");
}
