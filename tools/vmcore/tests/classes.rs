// SPDX-License-Identifier: GPL-2.0-or-later
//! Page classes: what each kind of struct page is taken for, and at which levels it is left out.

mod machine;

use machine::*;
use vmcore::pages::{BLOCK_PFNS, Class, Level, PageLayout, scan};
use vmcore::{Pfn, pages::scan::BlockClasses};

fn class_of(machine: &Machine, pfn: u64) -> Class {
    let dump = machine.dump();
    let layout = PageLayout::new(dump.vmcoreinfo()).expect("layout");
    let mut classes = BlockClasses::new(&dump, &layout).expect("memmap");
    classes.block(0)[(pfn % BLOCK_PFNS) as usize]
}

#[test]
fn single_pages_are_classified_by_their_own_words() {
    let swap = FLAG_SWAPBACKED | FLAG_SWAPCACHE;
    let cases = [
        (0, 0, NO_TYPE, Class::Kernel),
        (FLAG_LRU, 0x1000, NO_TYPE, Class::Cache),
        (
            FLAG_LRU | FLAG_PRIVATE,
            0x1000,
            NO_TYPE,
            Class::CachePrivate,
        ),
        (swap, 0x1000, NO_TYPE, Class::Cache),
        (FLAG_SWAPCACHE, 0, NO_TYPE, Class::Kernel),
        (FLAG_LRU | FLAG_SWAPBACKED, 0x1001, 0, Class::Anon),
        (FLAG_LRU, 0x1003, 5, Class::Anon),
        // A typed page's mapping and flags belong to its owner.
        (FLAG_LRU, 0x1001, TYPE_SLAB, Class::Kernel),
        (0, 0x1001, TYPE_SLAB | 0xabcd, Class::Kernel),
        (0, 0, 0xf200_0000, Class::Kernel),
        (0, 0, TYPE_OFFLINE | 0x12, Class::Offline),
        (FLAG_LRU | FLAG_HWPOISON, 0x1000, NO_TYPE, Class::HwPoison),
    ];
    for (flags, mapping, kind, class) in cases {
        let mut machine = Machine::new();
        machine.page(FIRST, flags, 0, mapping, 0, kind);
        assert_eq!(
            class_of(&machine, FIRST),
            class,
            "{flags:#x} {mapping:#x} {kind:#x}"
        );
    }
}

#[test]
fn tails_belong_to_their_head_whatever_their_words_say() {
    for (kind, mapping, class) in [
        (TYPE_SLAB, 0, Class::Kernel),
        (TYPE_HUGETLB, 0, Class::Hugetlb),
        (NO_TYPE, 0x1001, Class::Anon),
        (NO_TYPE, 0, Class::Kernel),
    ] {
        let mut machine = Machine::new();
        machine.folio(FIRST, 4, 0, mapping, kind);
        for pfn in FIRST..FIRST + 16 {
            assert_eq!(class_of(&machine, pfn), class, "page {}", pfn - FIRST);
        }
        assert_eq!(class_of(&machine, FIRST + 16), Class::Kernel);
    }
}

#[test]
fn poisoned_tail_is_left_out_alone() {
    let mut machine = Machine::new();
    machine.folio(FIRST, 3, 0, 0, TYPE_SLAB);
    machine.page(FIRST + 5, FLAG_HWPOISON, 1, 0, 0, NO_TYPE);
    assert_eq!(class_of(&machine, FIRST + 5), Class::HwPoison);
    assert_eq!(class_of(&machine, FIRST + 6), Class::Kernel);
}

#[test]
fn free_blocks_cover_stale_words() {
    let mut machine = Machine::new();
    machine.page(FIRST, 0, 0, 0, 3, TYPE_BUDDY);
    for pfn in FIRST + 1..FIRST + 8 {
        machine.page(pfn, FLAG_LRU, 0, 0x1001, 0, NO_TYPE);
    }
    assert_eq!(class_of(&machine, FIRST + 7), Class::Free);
    assert_eq!(class_of(&machine, FIRST + 8), Class::Kernel);
}

#[test]
fn impossible_orders_are_not_trusted() {
    for (pfn, order) in [
        (FIRST, 11),
        (FIRST, 255),
        (FIRST, u64::MAX),
        (FIRST + 1, 1),
        (FIRST + 4, 3),
    ] {
        let mut machine = Machine::new();
        machine.page(pfn, 0, 0, 0, order, TYPE_BUDDY);
        let dump = machine.dump();
        let layout = PageLayout::new(dump.vmcoreinfo()).expect("layout");
        let scan = scan::scan(&dump, Some(&layout), Level::MAX).expect("scan");
        assert!(scan.kept.contains(Pfn(pfn)), "order {order}");
        assert!(scan.kept.contains(Pfn(pfn + 1)), "order {order}");
        assert_eq!(scan.stats.suspicious_blocks, 1, "order {order}");
    }
}

#[test]
fn head_without_tails_and_tail_without_head_are_kept() {
    let mut machine = Machine::new();
    machine.page(FIRST, FLAG_HEAD | FLAG_LRU, 0, 0x1001, 0, NO_TYPE);
    machine.page(FIRST + 8, 0, 0xffff_e001, 0x1001, 0, NO_TYPE);
    assert_eq!(class_of(&machine, FIRST), Class::Kernel);
    assert_eq!(class_of(&machine, FIRST + 8), Class::Orphan);
}

#[test]
fn levels_leave_out_what_their_bits_say() {
    let level = |n| Level::new(n).expect("a level");
    let out = |class| {
        (0..32)
            .filter(|&n| !level(n).keeps(class))
            .collect::<Vec<u8>>()
    };
    let with = |bits: u8| (0..32).filter(|n| n & bits != 0).collect::<Vec<u8>>();
    assert_eq!(out(Class::Kernel), []);
    assert_eq!(out(Class::Orphan), []);
    assert_eq!(out(Class::Cache), with(2 | 4));
    assert_eq!(out(Class::CachePrivate), with(4));
    assert_eq!(out(Class::Anon), with(8));
    assert_eq!(out(Class::Hugetlb), with(8));
    assert_eq!(out(Class::Free), with(16));
    assert_eq!(out(Class::HwPoison), (0..32).collect::<Vec<u8>>());
    assert!(Level::new(32).is_none() && "32".parse::<Level>().is_err());
}

#[test]
fn unknown_layouts_are_refused() {
    let dump = Machine::new().dump();
    let text = dump.vmcoreinfo().to_text();
    for (from, to) in [
        ("OFFSET(page.flags)=0\n", ""),
        ("OFFSET(page.private)=40", "OFFSET(page.private)=60"),
        ("SIZE(page)=64", "SIZE(page)=0"),
        ("NUMBER(PG_lru)=5", "NUMBER(PG_lru)=64"),
        // The encoding before 6.11: single bits of an inverted word.
        (
            "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-268435456",
            "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129",
        ),
        ("LENGTH(zone.free_area)=11", "LENGTH(zone.free_area)=99"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let info = vmcoreinfo::Vmcoreinfo::parse(changed.as_bytes()).expect("parses");
        assert!(PageLayout::new(&info).is_err(), "{to}");
    }
}
