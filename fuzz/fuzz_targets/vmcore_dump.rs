// SPDX-License-Identifier: GPL-2.0-or-later
//! A dump in any format, alone and as a part of a split set: everything that a reader and the filter do with it.
//!
//! The input is a dump, or (a first byte below 3) changes to a good one: a whole machine of 8 MiB as ELF core, filtered, or
//! flattened. Each change is a place, a width and a value.
#![no_main]

#[path = "../../tools/vmcore/tests/machine/mod.rs"]
mod machine;

use libfuzzer_sys::fuzz_target;
use machine::{Machine, MemoryOutput, SharedStream, filter};
use std::sync::LazyLock;
use vmcore::codec::Codec;
use vmcore::kdump::Kdump;
use vmcore::pages::{Level, PageLayout, scan};
use vmcore::source::ReadAt;
use vmcore::split::SplitSet;
use vmcore::write::FlattenedOutput;
use vmcore::{Dump, Image, Pfn, PhysAddr};

/// A lying map of RAM costs what the filter does for each page; a fuzzer's patience ends before that.
const MAX_PAGES: u64 = 1 << 16;

static GOOD: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let dump = Machine::new().dump();
    let mut file = MemoryOutput::new();
    filter(&dump, Level::MAX, Codec::Lzo, &mut file);
    let stream = SharedStream::default();
    filter(&dump, Level::MAX, Codec::Lzo, &mut FlattenedOutput::new(stream.clone(), None));
    let stream = stream.0.lock().expect("not poisoned").clone();
    [Machine::new().elf(), file.bytes, stream]
});

/// A good dump with changes laid over it, for nobody has the time to copy it.
#[derive(Clone)]
struct Changed {
    good: &'static [u8],
    changes: Vec<(u64, Vec<u8>)>,
}

impl Changed {
    fn new(good: &'static [u8], data: &[u8]) -> Changed {
        let changes = data.chunks_exact(13).map(|change| {
            let at = u32::from_le_bytes([change[0], change[1], change[2], change[3]]);
            // Most of what is read lies in front.
            let near = if change[4] & 0x80 == 0 { 1 << 16 } else { good.len() };
            let width = 1 << (change[4] & 3);
            (u64::from(at) % near as u64, change[5..5 + width].to_vec())
        });
        Changed { good, changes: changes.collect() }
    }
}

impl ReadAt for Changed {
    fn read_at(&self, offset: u64, buf: &mut [u8], what: &'static str) -> vmcore::Result<()> {
        self.check(offset, buf.len() as u64, what)?;
        buf.copy_from_slice(&self.good[offset as usize..offset as usize + buf.len()]);
        for (at, bytes) in &self.changes {
            for (at, byte) in (*at..).zip(bytes) {
                if let Some(old) = at.checked_sub(offset).and_then(|at| buf.get_mut(at as usize)) {
                    *old = *byte;
                }
            }
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.good.len() as u64
    }
}

fn exercise(source: impl ReadAt + Clone + 'static) {
    if let Ok(part) = Kdump::new(source.clone()) {
        if let Ok(set) = SplitSet::new(vec![part]) {
            let _ = (set.block(0), set.read_phys(PhysAddr(0x1000), &mut [0; 64]));
        }
    }
    let Ok(dump) = Dump::from_source(source) else {
        return;
    };
    let _ = (dump.dmesg(), dump.prstatus(), dump.remark());
    for pfn in [0, 0x100, u64::MAX >> 12] {
        let _ = dump.read_pages(Pfn(pfn), &mut [0; 8192]);
    }
    let pages = dump.ram().map_or(u64::MAX, |ram| ram.iter().map(|range| range.end.0 - range.start.0).sum());
    let layout = PageLayout::new(dump.vmcoreinfo());
    if let (Ok(layout), true) = (layout, pages <= MAX_PAGES) {
        let _ = scan::scan(&dump, Some(&layout), Level::MAX);
    }
}

fuzz_target!(|data: &[u8]| {
    match data {
        [which @ 0..3, changes @ ..] => exercise(Changed::new(&GOOD[usize::from(*which)], changes)),
        _ => exercise(data.to_vec()),
    }
});
