// SPDX-License-Identifier: GPL-2.0-or-later
//! Corrupt and lying files: an error or wrong contents, never a panic, an endless loop or memory without bound.

mod machine;

use machine::*;
use proptest::prelude::*;
use std::sync::OnceLock;
use vmcore::codec::Codec;
use vmcore::pages::{Level, PageLayout, scan};
use vmcore::write::{Check, FlattenedOutput, write_kdump};
use vmcore::{Dump, Pfn, PhysAddr};

/// Everything that a reader does with a dump. Results do not matter, ending does.
fn exercise(bytes: Vec<u8>) {
    let Ok(dump) = Dump::from_source(bytes) else {
        return;
    };
    let _ = dump.ram();
    let _ = dump.dmesg();
    let _ = dump.prstatus();
    let _ = dump.read_phys(PhysAddr(u64::MAX - 8), &mut [0; 64]);
    let _ = dump.read_pages(Pfn(FIRST), &mut [0; 3 * PAGE]);
    let Ok(layout) = PageLayout::new(dump.vmcoreinfo()) else {
        return;
    };
    // A lying map of RAM may be huge: what a filter does with it is bounded by the file, a test's patience is not.
    let pages: u64 = dump
        .ram()
        .map_or(0, |ram| ram.iter().map(|r| r.end.0 - r.start.0).sum());
    if pages > 1 << 16 {
        return;
    }
    let Ok(scan) = scan::scan(&dump, Some(&layout), Level::MAX) else {
        return;
    };
    // The bitmaps of the output reach up to the last page, and this output is memory.
    if scan.max_pfn > 1 << 26 {
        return;
    }
    let options = options(Level::MAX, job(Codec::Lzo, 1, Check::Encoded));
    let _ = write_kdump(&dump, &scan, &options, &mut MemoryOutput::new(), &());
}

/// A filtered dump, made once.
fn filtered(flattened: bool) -> Vec<u8> {
    static DUMPS: [OnceLock<Vec<u8>>; 2] = [OnceLock::new(), OnceLock::new()];
    DUMPS[usize::from(flattened)]
        .get_or_init(|| make_filtered(flattened))
        .clone()
}

fn make_filtered(flattened: bool) -> Vec<u8> {
    let mut machine = Machine::new();
    machine.folio(FIRST, 4, FLAG_LRU, 0x1001, NO_TYPE);
    let dump = machine.dump();
    if flattened {
        let stream = SharedStream::default();
        let mut out = FlattenedOutput::new(stream.clone(), None);
        filter(&dump, Level::MAX, Codec::Zstd, &mut out);
        return stream.0.lock().expect("not poisoned").clone();
    }
    let mut out = MemoryOutput::new();
    filter(&dump, Level::MAX, Codec::Zstd, &mut out);
    out.bytes
}

/// Values that parsers stumble over.
fn interesting() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        Just(1 << 63),
        Just(i64::MAX as u64),
        Just(u64::from(u32::MAX)),
        0u64..5000,
        any::<u64>(),
    ]
}

/// A few words of the file replaced; `within` limits where, for the headers are a small part of a file.
fn mutate(bytes: &mut [u8], within: usize, changes: &[(usize, u64, usize)]) {
    let limit = within.min(bytes.len() - 8);
    for &(at, value, width) in changes {
        let at = at % limit;
        bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

fn changes() -> impl Strategy<Value = Vec<(usize, u64, usize)>> {
    let width = prop_oneof![Just(1), Just(2), Just(4), Just(8)];
    prop::collection::vec((any::<usize>(), interesting(), width), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn corrupt_elf_headers_and_notes(changes in changes()) {
        let mut bytes = Machine::new().elf();
        mutate(&mut bytes, 3500, &changes);
        exercise(bytes);
    }

    #[test]
    fn corrupt_kernel_structures(changes in changes()) {
        let mut machine = Machine::new();
        // Page tables, sections, log and symbols lie in the first 64 KiB.
        mutate(&mut machine.ram, 0x10000, &changes);
        exercise(machine.elf());
    }

    #[test]
    fn corrupt_struct_pages(changes in changes()) {
        let mut machine = Machine::new();
        let at = (4 << 20) + FIRST as usize * 64;
        mutate(&mut machine.ram[at..], 2048, &changes);
        exercise(machine.elf());
    }

    #[test]
    fn corrupt_kdump_headers(changes in changes()) {
        let mut bytes = filtered(false);
        mutate(&mut bytes, 20000, &changes);
        exercise(bytes);
    }

    #[test]
    fn corrupt_flattened_stream(changes in changes()) {
        let mut bytes = filtered(true);
        mutate(&mut bytes, 30000, &changes);
        let _ = vmcore::flattened::rearrange(bytes.as_slice(), |_, _| Ok(()));
        exercise(bytes);
    }

    #[test]
    fn noise_behind_each_magic(noise in prop::collection::vec(any::<u8>(), 0..6000), magic in 0usize..3) {
        let magic: &[u8] = [&b"\x7fELF\x02\x01\x01"[..], b"KDUMP   ", b"makedumpfile\0\0\0\0"][magic];
        exercise([magic, &noise].concat());
    }
}

#[test]
fn note_of_2_to_the_63_bytes_is_an_error() {
    let mut bytes = Machine::new().elf();
    bytes[96..104].copy_from_slice(&(1u64 << 63).to_le_bytes());
    assert!(Dump::from_source(bytes).is_err());
}

#[test]
fn cyclic_page_tables_end() {
    let mut machine = Machine::new();
    for i in 0..512 {
        machine.u64(0x2000 + i * 8, 0x2001);
    }
    let dump = machine.dump();
    assert!(dump.dmesg().is_err());
    assert!(dump.symbols().is_err());
}
