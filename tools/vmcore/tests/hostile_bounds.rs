// SPDX-License-Identifier: GPL-2.0-or-later
//! Lying files again (see hostile.rs), here with a clock and a look at the memory: one test, for memory is the process's.

mod machine;

use machine::*;
use std::fs;
use std::time::{Duration, Instant};
use vmcore::codec::Codec;
use vmcore::pages::{Level, PageLayout, Scan, scan};
use vmcore::write::{Check, FileOutput, write_kdump};
use vmcore::{Dump, Result};

/// A debug build on a busy machine; a loop without end, or one over every byte of a claimed TiB, takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Beyond the file itself: page maps of the largest machine that is believed, and buffers.
const MEMORY_KIB: u64 = 300 << 10;

/// What a filter does: open, log, scan at the highest level, write.
fn run_filter(bytes: Vec<u8>) -> Result<Scan> {
    let dump = Dump::from_source(bytes)?;
    dump.dmesg()?;
    dump.symbols()?;
    let layout = PageLayout::new(dump.vmcoreinfo())?;
    let scan = scan::scan(&dump, Some(&layout), Level::MAX)?;
    let options = options(Level::MAX, job(Codec::Lzo, 2, Check::Encoded));
    // Sparse, in memory, and gone with the descriptor.
    let target = rustix::fs::memfd_create("dump", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd");
    let mut out = FileOutput::new(target.into(), Some(1 << 30), false);
    write_kdump(&dump, &scan, &options, &mut out, &())?;
    Ok(scan)
}

/// kB of the process's peak since the last [`forget_peak`].
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.expect("VmHWM").parse().expect("a number")
}

fn forget_peak() -> u64 {
    fs::write("/proc/self/clear_refs", "5").expect("/proc/self/clear_refs");
    peak_kib()
}

fn bounded(name: &str, bytes: Vec<u8>) -> Result<Scan> {
    let (before, start) = (forget_peak(), Instant::now());
    let result = run_filter(bytes);
    let (took, used) = (start.elapsed(), peak_kib().saturating_sub(before));
    println!("{name}: {took:.1?}, {used} KiB");
    assert!(took < PATIENCE, "{name}: {took:?}");
    assert!(used < MEMORY_KIB, "{name}: {used} KiB");
    result
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// An ELF core of which the last segment has another size in memory.
fn claiming(mem_bytes: u64) -> Vec<u8> {
    let mut bytes = Machine::new().elf();
    put(&mut bytes, 64 + 3 * 56 + 40, mem_bytes);
    bytes
}

/// An ELF core with 50000 more segments behind its RAM, each a page further on than the one before, with the contents of
/// the file's first MiB, and 1 TiB long.
fn overlapping() -> Vec<u8> {
    const MORE: u64 = 50_000;
    let mut bytes = Machine::new().elf();
    let old = bytes[64..64 + 4 * 56].to_vec();
    let table = bytes.len() as u64;
    put(&mut bytes, 32, table);
    bytes[56..58].copy_from_slice(&(4 + MORE as u16).to_le_bytes());
    bytes.extend(old);
    for i in 0..MORE {
        let mut segment = [0; 56];
        put(&mut segment, 0, 1);
        put(&mut segment, 24, (RAM_BYTES + i as usize * PAGE) as u64);
        put(&mut segment, 32, 1 << 20);
        put(&mut segment, 40, (1 << 40) - i);
        bytes.extend(segment);
    }
    bytes
}

/// A filtered dump.
fn kdump() -> Vec<u8> {
    let mut out = MemoryOutput::new();
    filter(&Machine::new().dump(), Level::NONE, Codec::Zstd, &mut out);
    out.bytes
}

#[test]
fn lies_end_in_bounded_time_and_memory() {
    let mut machine = Machine::new();
    for i in 0..512 {
        machine.u64(0x2000 + i * 8, 0x2001);
    }
    assert!(bounded("cyclic page tables", machine.elf()).is_err());

    let mut bytes = Machine::new().elf();
    put(&mut bytes, 96, 1 << 63);
    assert!(bounded("a note of 2^63 bytes", bytes).is_err());

    // Pages that say so are kept, and counted as what cannot be.
    let mut machine = Machine::new();
    machine.page(FIRST, 0, 0, 0, 255, TYPE_BUDDY);
    machine.folio(FIRST + 2, 1, FLAG_LRU, 0x1001, NO_TYPE);
    machine.page(FIRST + 3, 0xff, 1, 0, 0, NO_TYPE);
    let scan = bounded("order 255", machine.elf()).expect("scanned");
    assert_eq!(scan.stats.suspicious_blocks, 2);

    let scan = bounded("2 TiB in a file of 8 MiB", claiming(2 << 40)).expect("scanned");
    assert!(scan.kept.count() < RAM_BYTES as u64 / PAGE as u64);
    assert!(bounded("2^60 bytes in a file of 8 MiB", claiming(1 << 60)).is_err());
    assert!(bounded("2^64 bytes in a file of 8 MiB", claiming(u64::MAX)).is_err());
    let scan = bounded("overlapping segments", overlapping()).expect("scanned");
    assert!(scan.max_pfn > 1 << 28 && scan.kept.count() < 60_000);

    // Bitmaps that have more pages than there are descriptors, and descriptors that lead anywhere.
    let good = kdump();
    let block =
        |at: usize| u32::from_le_bytes(good[at..at + 4].try_into().expect("4 bytes")) as usize;
    let (bitmaps, bytes) = ((1 + block(432)) * PAGE, block(436) * PAGE);
    let mut full = good.clone();
    full[bitmaps..bitmaps + bytes].fill(0xff);
    assert!(bounded("a bitmap of ones", full).is_err());
    let mut more = good.clone();
    more[bitmaps + bytes / 2] ^= 0xff;
    more[bitmaps + bytes / 2 + 100] ^= 0xff;
    assert!(bounded("a bitmap with other pages", more).is_err());
    let mut long = good.clone();
    long[436..440].fill(0xff);
    assert!(bounded("bitmaps of 2^44 bytes", long).is_err());
    let mut far = good.clone();
    let descs = bitmaps + bytes;
    for at in (descs..descs + 24 * 64).step_by(24) {
        put(&mut far, at, 1 << 62);
    }
    assert!(bounded("descriptors beyond the end", far).is_err());
}
