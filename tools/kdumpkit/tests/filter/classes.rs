// SPDX-License-Identifier: GPL-2.0-or-later
//! Page classes against /proc/kpageflags of the same kernel, taken just before it crashed.

use super::guest::Guest;
use std::collections::BTreeMap;
use vmcore::Dump;
use vmcore::pages::scan::BlockClasses;
use vmcore::pages::{BLOCK_PFNS, Class, PageLayout};

/// Bit numbers (include/uapi/linux/kernel-page-flags.h, include/linux/kernel-page-flags.h).
const LRU: u32 = 5;
const SLAB: u32 = 7;
const BUDDY: u32 = 10;
const ANON: u32 = 12;
const SWAPCACHE: u32 = 13;
const SWAPBACKED: u32 = 14;
const HUGE: u32 = 17;
const HWPOISON: u32 = 19;
const NOPAGE: u32 = 20;
const OFFLINE: u32 = 23;
const PGTABLE: u32 = 26;
const PRIVATE: u32 = 35;

/// What the kernel says about a page, in our words.
fn kernels_word(flags: u64) -> Class {
    let has = |bit: u32| flags >> bit & 1 == 1;
    match () {
        () if has(NOPAGE) => Class::NoStruct,
        () if has(HWPOISON) => Class::HwPoison,
        () if has(BUDDY) => Class::Free,
        () if has(OFFLINE) => Class::Offline,
        () if has(HUGE) => Class::Hugetlb,
        () if has(SLAB) || has(PGTABLE) => Class::Kernel,
        () if has(ANON) => Class::Anon,
        () if has(LRU) || has(SWAPBACKED) && has(SWAPCACHE) => match has(PRIVATE) {
            true => Class::CachePrivate,
            false => Class::Cache,
        },
        () => Class::Kernel,
    }
}

/// Every class is there, and of each at most one page in fifty changed its use between the snapshot and the crash (seen: none
/// at all, or some hundreds that the kernel had just set free).
pub fn agree_with_the_kernel(guest: &Guest) {
    let table = compare(guest);
    let sum = |want: &dyn Fn(&(Class, Class)) -> bool| -> u64 {
        table
            .iter()
            .filter(|(key, _)| want(key))
            .map(|(_, count)| count)
            .sum()
    };
    println!("{:<16}{:<16}{:>9}", "kpageflags", "filter", "pages");
    for ((theirs, ours), pages) in &table {
        println!("{:<16}{:<16}{pages:>9}", theirs.name(), ours.name());
    }
    for class in [
        Class::Kernel,
        Class::Cache,
        Class::CachePrivate,
        Class::Anon,
        Class::Hugetlb,
        Class::Free,
    ] {
        let theirs = sum(&|&(theirs, _)| theirs == class);
        let ours = sum(&|&(_, ours)| ours == class);
        let both = sum(&|&key| key == (class, class));
        let place = guest.folder.display();
        assert!(
            theirs > 300,
            "only {theirs} pages are {}: no load? See {place}",
            class.name()
        );
        // The guest goes on between its last look and the crash: pages are freed and taken.
        let limit = theirs / 20 + 300;
        assert!(
            theirs - both <= limit && ours - both <= limit,
            "{}: {table:?}, see {place}",
            class.name()
        );
    }
}

/// Pages of RAM by the kernel's word and ours.
fn compare(guest: &Guest) -> BTreeMap<(Class, Class), u64> {
    let dump = Dump::open(guest.vmcore()).expect("the vmcore");
    let layout = PageLayout::new(dump.vmcoreinfo()).expect("a known layout");
    let mut classes = BlockClasses::new(&dump, &layout).expect("the memory map");
    let mut table = BTreeMap::new();
    for block in 0..(guest.kpageflags.len() as u64).div_ceil(BLOCK_PFNS) {
        let (ram, _) = dump.block(block).expect("a block");
        let found = classes.block(block);
        for (within, &class) in found.iter().enumerate() {
            let Some(&flags) = guest
                .kpageflags
                .get(block as usize * BLOCK_PFNS as usize + within)
            else {
                break;
            };
            if ram[within / 64] >> (within % 64) & 1 == 1 {
                *table.entry((kernels_word(flags), class)).or_insert(0) += 1;
            }
        }
    }
    table
}
