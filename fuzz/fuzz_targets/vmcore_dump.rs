// SPDX-License-Identifier: GPL-2.0-or-later
//! A dump in any format, alone and as a part of a split set: everything that a reader and the filter do with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmcore::kdump::Kdump;
use vmcore::pages::{Level, PageLayout, scan};
use vmcore::split::SplitSet;
use vmcore::{Dump, Image, Pfn, PhysAddr};

/// A lying map of RAM costs what the filter does for each page; a fuzzer's patience ends before that.
const MAX_PAGES: u64 = 1 << 16;

fuzz_target!(|data: &[u8]| {
    if let Ok(part) = Kdump::new(data.to_vec()) {
        if let Ok(set) = SplitSet::new(vec![part]) {
            let _ = (set.block(0), set.read_phys(PhysAddr(0x1000), &mut [0; 64]));
        }
    }
    let Ok(dump) = Dump::from_source(data.to_vec()) else {
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
});
