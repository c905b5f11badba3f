// SPDX-License-Identifier: GPL-2.0-or-later
//! What is written is what was there: formats, codecs, levels, full targets, cut files.

mod machine;

use machine::*;
use vmcore::codec::Codec;
use vmcore::pages::Level;
use vmcore::write::{Check, FlattenedOutput, Output, write_elf, write_kdump};
use vmcore::{Absence, Dump, Error, Pfn, VirtAddr};

fn busy_machine() -> Machine {
    let mut machine = Machine::new();
    machine.page(FIRST, 0, 0, 0, 4, TYPE_BUDDY);
    machine.folio(FIRST + 16, 2, FLAG_LRU, 0x1000, NO_TYPE);
    machine.folio(FIRST + 32, 4, FLAG_LRU | FLAG_SWAPBACKED, 0x1001, NO_TYPE);
    machine.folio(FIRST + 64, 3, 0, 0, TYPE_SLAB);
    machine.page(FIRST + 80, FLAG_LRU | FLAG_PRIVATE, 0, 0x1000, 0, NO_TYPE);
    machine.page(FIRST + 81, FLAG_HWPOISON, 0, 0, 0, NO_TYPE);
    machine
}

fn write(
    dump: &Dump,
    level: Level,
    codec: Codec,
    threads: usize,
    out: &mut dyn Output,
) -> vmcore::Result<()> {
    let options = options(level, job(codec, threads, Check::Encoded));
    write_kdump(dump, &scan_of(dump, level), &options, out, &()).map(|_| ())
}

fn kdump(level: Level, codec: Codec, threads: usize) -> Vec<u8> {
    kdump_of(&busy_machine().dump(), level, codec, threads)
}

fn kdump_of(dump: &Dump, level: Level, codec: Codec, threads: usize) -> Vec<u8> {
    let mut out = MemoryOutput::new();
    write(dump, level, codec, threads, &mut out).expect("written");
    out.bytes
}

fn open(bytes: Vec<u8>) -> Dump {
    Dump::from_source(bytes).expect("opens")
}

/// Every page is the source's or absent, as the scan says; `zeros`: absent pages read as zeros.
fn compare(written: &Dump, source: &Dump, level: Level, zeros: bool) {
    let scan = scan_of(source, level);
    let (mut page, mut original) = ([0; PAGE], [0; PAGE]);
    for pfn in scan.ram.runs().flatten().map(Pfn) {
        source.read_pages(pfn, &mut original).expect("source");
        let kept = scan.kept.contains(pfn);
        match written.read_pages(pfn, &mut page) {
            Ok(()) if kept => assert!(page == original, "{pfn} differs"),
            Ok(()) => assert!(zeros && page == [0; PAGE], "{pfn} should be left out"),
            Err(Error::Absent(_, Absence::Excluded)) => {
                assert!(!kept && !zeros, "{pfn} is missing")
            }
            Err(error) => panic!("{pfn}: {error}"),
        }
    }
    assert_eq!(written.ram().expect("ram"), source.ram().expect("ram"));
}

#[test]
fn kdump_of_every_codec_and_level_gives_the_pages_back() {
    let source = busy_machine().dump();
    for codec in Codec::ALL {
        for level in [0, 1, 8, 16, 23, 31] {
            let level = Level::new(level).expect("a level");
            let written = open(kdump(level, codec, 1));
            assert_eq!(written.dump_level(), Some(level.number().into()));
            compare(&written, &source, level, false);
        }
    }
}

#[test]
fn threads_write_the_same_bytes() {
    assert!(kdump(Level::NONE, Codec::Zstd, 1) == kdump(Level::NONE, Codec::Zstd, 5));
}

#[test]
fn elf_gives_the_pages_back_and_zeros_for_the_rest() {
    let source = busy_machine().dump();
    for level in [0, 1, 30, 31] {
        let level = Level::new(level).expect("a level");
        let mut out = MemoryOutput::new();
        let scan = scan_of(&source, level);
        write_elf(
            &source,
            &scan,
            level,
            job(Codec::Raw, 2, Check::Encoded),
            &mut out,
            &(),
        )
        .expect("written");
        compare(&open(out.bytes), &source, level, true);
    }
}

#[test]
fn flattened_stream_is_read_directly_and_rearranged() {
    let stream = SharedStream::default();
    let mut out = FlattenedOutput::new(stream.clone(), None);
    write(&busy_machine().dump(), Level::MAX, Codec::Lzo, 2, &mut out).expect("written");
    let bytes = stream.0.lock().expect("not poisoned").clone();
    compare(
        &open(bytes.clone()),
        &busy_machine().dump(),
        Level::MAX,
        false,
    );
    let mut file = MemoryOutput::new();
    vmcore::flattened::rearrange(bytes.as_slice(), |at, part| file.write_at(at, part))
        .expect("rearranged");
    assert!(file.bytes == kdump(Level::MAX, Codec::Lzo, 1));
}

#[test]
fn filtering_again_gives_the_same_dump() {
    let full = open(kdump(Level::NONE, Codec::Zlib, 1));
    let mut out = MemoryOutput::new();
    write(&full, Level::MAX, Codec::Zstd, 1, &mut out).expect("written");
    assert!(out.bytes == kdump(Level::MAX, Codec::Zstd, 1));
}

#[test]
fn dump_tells_about_the_crash() {
    for dump in [
        Machine::new().dump(),
        open(kdump(Level::MAX, Codec::Zstd, 1)),
    ] {
        let log = dump.dmesg().expect("log");
        assert_eq!(
            log,
            "[    1.500000] first line\n[    1.500000] second\n[    1.500000] with two lines\n"
        );
        let symbols = dump.symbols().expect("symbols");
        let stext = VirtAddr(0xffff_ffff_8020_0000);
        assert_eq!(symbols.address("_stext"), Some(stext));
        let cpus = dump.prstatus();
        assert_eq!((cpus.len(), cpus[0].pid), (1, 42));
        let (symbol, offset) = symbols
            .lookup(VirtAddr(cpus[0].regs.rip))
            .expect("in the image");
        assert_eq!((symbol.name.as_str(), offset), ("linux_banner", 0));
    }
}

#[test]
fn full_target_leaves_an_incomplete_dump_that_opens() {
    let whole = kdump(Level::NONE, Codec::Raw, 1);
    let source = busy_machine().dump();
    for tenth in 1..10 {
        let mut out = MemoryOutput::new();
        out.limit = whole.len() * tenth / 10;
        let error = write(&source, Level::NONE, Codec::Raw, 2, &mut out).expect_err("no room");
        assert!(matches!(error, Error::NoSpace { .. }), "{error}");
        let dump = open(out.bytes);
        assert!(dump.is_incomplete());
        let scan = scan_of(&source, Level::NONE);
        let (mut page, mut original, mut read) = ([0; PAGE], [0; PAGE], 0);
        for pfn in scan.kept.runs().flatten().map(Pfn) {
            match dump.read_pages(pfn, &mut page) {
                Ok(()) => {
                    source.read_pages(pfn, &mut original).expect("source");
                    assert!(page == original, "{pfn} differs");
                    read += 1;
                }
                Err(Error::Absent(_, Absence::Lost)) => {}
                Err(error) => panic!("{pfn}: {error}"),
            }
        }
        assert!(read > 0, "{read} pages at {tenth}0 %");
    }
}

/// One flipped bit on the way to the disk, wherever it is: an error, and no dump that calls itself complete.
#[test]
fn bad_disk_is_noticed_when_reading_back() {
    let source = busy_machine().dump();
    let level = Level::new(30).expect("a level");
    let scan = scan_of(&source, level);
    for (threads, elf) in [(1, false), (3, false), (1, true)] {
        let codec = if elf { Codec::Raw } else { Codec::Lzo };
        let job = job(codec, threads, Check::ReadBack);
        let write = |out: &mut BadDisk| match elf {
            true => write_elf(&source, &scan, level, job, out, &()),
            false => write_kdump(&source, &scan, &options(level, job), out, &()),
        };
        let disk = |bad_byte| BadDisk {
            disk: MemoryOutput::new(),
            bad_byte,
        };
        let mut good = disk(usize::MAX);
        let written = write(&mut good).expect("a good disk");
        assert!(written.read_back && written.pages == scan.kept.count());
        let bytes = good.disk.bytes.len();
        // The start densely, where headers, bitmaps and descriptors are; then every part of the data.
        for bad_byte in (0..0xc000)
            .step_by(3001)
            .chain((0xc000..bytes).step_by(bytes / 23))
        {
            let mut bad = disk(bad_byte);
            let Err(error) = write(&mut bad) else {
                if bad.disk.bytes == good.disk.bytes {
                    // A gap between the parts, where nothing is written.
                    continue;
                }
                // A bit that decoding does not depend on.
                compare(&open(bad.disk.bytes), &source, level, elf);
                continue;
            };
            assert!(error.to_string().contains("read back"), "{error}");
            if let Ok(dump) = Dump::from_source(bad.disk.bytes) {
                assert!(dump.is_incomplete(), "bit flipped at {bad_byte:#x}");
            }
        }
    }
}

#[test]
fn cut_behind_thousands_of_zero_pages_is_noticed() {
    let mut machine = Machine::new();
    // All that lies behind the first page of data is zero.
    machine.ram[(FIRST as usize + 1) * PAGE..].fill(0);
    let mut whole = kdump_of(&machine.dump(), Level::NONE, Codec::Raw, 1);
    open(whole.clone());
    whole.truncate(whole.len() - 1);
    assert!(matches!(
        Dump::from_source(whole),
        Err(Error::Truncated { .. })
    ));
}

#[test]
fn remark_goes_along_from_dump_to_dump() {
    let mut source = busy_machine().dump();
    assert_eq!(source.remark(), None);
    source.set_remark("layout not known");
    let kdump = open(kdump_of(&source, Level::NONE, Codec::Zstd, 1));
    let mut elf = MemoryOutput::new();
    let scan = scan_of(&kdump, Level::MAX);
    write_elf(
        &kdump,
        &scan,
        Level::MAX,
        job(Codec::Raw, 1, Check::Encoded),
        &mut elf,
        &(),
    )
    .expect("written");
    let elf = open(elf.bytes);
    for dump in [&kdump, &elf] {
        assert_eq!(dump.remark(), Some("layout not known"));
        assert_eq!(dump.prstatus().len(), 1, "the other notes are still there");
        assert!(dump.dmesg().is_ok());
    }
}

#[test]
fn file_cut_anywhere_is_noticed() {
    let elf = Machine::new().elf();
    let stream = SharedStream::default();
    let mut out = FlattenedOutput::new(stream.clone(), None);
    write(&busy_machine().dump(), Level::MAX, Codec::Zstd, 1, &mut out).expect("written");
    let flattened = stream.0.lock().expect("not poisoned").clone();
    for whole in [elf, flattened, kdump(Level::MAX, Codec::Zstd, 1)] {
        // Every byte at both ends, and a step that is prime to all structures in between.
        let ends = (0..600).chain(whole.len() - 600..whole.len());
        for end in ends.chain((600..whole.len() - 600).step_by(whole.len() / 997)) {
            let cut = whole[..end].to_vec();
            assert!(
                Dump::from_source(cut).is_err(),
                "cut to {end} of {} bytes",
                whole.len()
            );
        }
        open(whole);
    }
}
