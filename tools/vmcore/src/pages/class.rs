// SPDX-License-Identifier: GPL-2.0-or-later
//! What a page is used for, from its `struct page` (include/linux/mm_types.h, page-flags.h).
//!
//! A folio or a free block is classified once, by its first page; the pages behind it say nothing by themselves. Only
//! bit 0 of a tail's `compound_info` is used: the rest may be a pointer or a mask.

use crate::bytes::{u32_at, u64_at};
use crate::pages::layout::PageLayout;

/// The use of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Kernel memory: slabs, page tables, stacks, vmalloc, per-CPU areas, modules, reserved pages, and all that is not
    /// recognised as anything else.
    Kernel,
    /// RAM without a `struct page` in an online section.
    NoStruct,
    /// A tail whose head is not where it should be.
    Orphan,
    /// RAM whose `struct page` cannot be read: the source refuses, or the crashed kernel's page tables are damaged.
    Unknown,
    /// Page cache without private data, also shmem and tmpfs.
    Cache,
    /// Page cache with private data (buffer heads, NFS requests).
    CachePrivate,
    /// Anonymous memory of user space, also in the swap cache and merged by KSM.
    Anon,
    /// hugetlbfs.
    Hugetlb,
    /// In a free block of the buddy allocator.
    Free,
    /// Not yet accepted memory of a confidential VM: no content.
    Unaccepted,
    /// Reading would raise a machine check.
    HwPoison,
    /// Ballooned or logically offline: the hypervisor may have taken the memory.
    Offline,
}

impl Class {
    /// All classes, in the order of their numbers.
    pub const ALL: [Class; 12] = [
        Class::Kernel,
        Class::NoStruct,
        Class::Orphan,
        Class::Unknown,
        Class::Cache,
        Class::CachePrivate,
        Class::Anon,
        Class::Hugetlb,
        Class::Free,
        Class::Unaccepted,
        Class::HwPoison,
        Class::Offline,
    ];

    /// The dump-level bits that leave the class out; 0: always out; none: never out.
    pub const fn excluded_by(self) -> Option<u8> {
        match self {
            Class::Kernel | Class::NoStruct | Class::Orphan | Class::Unknown => None,
            Class::Cache => Some(2 | 4),
            Class::CachePrivate => Some(4),
            Class::Anon | Class::Hugetlb => Some(8),
            Class::Free | Class::Unaccepted => Some(16),
            Class::HwPoison | Class::Offline => Some(0),
        }
    }

    /// A word for tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Kernel => "kernel",
            Class::NoStruct => "no-struct-page",
            Class::Orphan => "orphan-tail",
            Class::Unknown => "unknown",
            Class::Cache => "cache",
            Class::CachePrivate => "cache-private",
            Class::Anon => "anon",
            Class::Hugetlb => "hugetlb",
            Class::Free => "free",
            Class::Unaccepted => "unaccepted",
            Class::HwPoison => "hwpoison",
            Class::Offline => "offline",
        }
    }
}

/// `PAGE_MAPPING_ANON`: bit 0 of `mapping`; KSM pages have it too.
const MAPPING_ANON: u64 = 1;
/// `page_type` without a type is a mapcount, from -1 (0xffffffff) up; types are 0x80 to 0xfe in the top byte.
const TYPE_NONE: u8 = 0xff;
/// 1 GiB pages are order 18, 512 GiB ones would be 27.
const MAX_FOLIO_ORDER: u32 = 27;

/// The words of one `struct page` that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageWords {
    /// `flags`.
    pub flags: u64,
    /// `compound_info`.
    pub compound_info: u64,
    /// `mapping`.
    pub mapping: u64,
    /// `private`.
    pub private: u64,
    /// `page_type`, or the mapcount.
    pub page_type: u32,
}

impl PageWords {
    /// Takes the words out of one `struct page`.
    pub fn parse(layout: &PageLayout, raw: &[u8]) -> PageWords {
        PageWords {
            flags: u64_at(raw, layout.flags),
            compound_info: u64_at(raw, layout.compound_info),
            mapping: u64_at(raw, layout.mapping),
            private: u64_at(raw, layout.private),
            page_type: u32_at(raw, layout.page_type),
        }
    }

    /// The page type, if the page has one.
    pub fn kind(&self) -> Option<u8> {
        let kind = (self.page_type >> 24) as u8;
        (kind >= 0x80 && kind != TYPE_NONE).then_some(kind)
    }
}

/// What the pages behind the first one of a block belong to.
#[derive(Debug, Clone, Copy)]
struct Run {
    end: u64,
    class: Class,
    /// Tails must say that they are tails; the rest of a free block holds stale words.
    tails: bool,
}

/// Classifies pages in ascending order.
#[derive(Debug, Clone)]
pub struct Classifier<'a> {
    layout: &'a PageLayout,
    run: Run,
    suspicious: u64,
}

impl<'a> Classifier<'a> {
    /// A classifier that stands before page frame 0.
    pub fn new(layout: &'a PageLayout) -> Classifier<'a> {
        let run = Run {
            end: 0,
            class: Class::Kernel,
            tails: false,
        };
        Classifier {
            layout,
            run,
            suspicious: 0,
        }
    }

    /// Free blocks and folios with an order that cannot be: kept, and counted here.
    pub fn suspicious(&self) -> u64 {
        self.suspicious
    }

    /// Classifies `out.len()` pages from `pfn` on. `raw` holds their structures, one after another; `pfn` is aligned to
    /// two pages, so that a head's first tail is in the same call.
    pub fn classify(&mut self, pfn: u64, raw: &[u8], out: &mut [Class]) {
        let size = self.layout.size;
        let mut i = 0;
        while i < out.len() {
            let now = pfn + i as u64;
            let page = raw.get(i * size..).unwrap_or_default();
            if now < self.run.end && !self.run.tails {
                let bytes = (self.run.end - now).min((out.len() - i) as u64) as usize;
                out[i..i + bytes].fill(self.run.class);
                i += bytes;
                continue;
            }
            out[i] = self.one(now, page);
            i += 1;
        }
    }

    fn one(&mut self, pfn: u64, page: &[u8]) -> Class {
        let layout = self.layout;
        let words = PageWords::parse(layout, page);
        let poisoned = words.flags & layout.hwpoison != 0;
        let class = if words.compound_info & 1 != 0 {
            if pfn < self.run.end {
                self.run.class
            } else {
                Class::Orphan
            }
        } else {
            self.first(pfn, &words, page)
        };
        // A flag of each single page, whatever it is part of.
        if poisoned { Class::HwPoison } else { class }
    }

    /// Classifies the first page of a block, and remembers how far the block goes.
    fn first(&mut self, pfn: u64, words: &PageWords, page: &[u8]) -> Class {
        let layout = self.layout;
        let kind = words.kind();
        if kind == Some(layout.type_buddy) {
            let order = u32::try_from(words.private).unwrap_or(u32::MAX);
            return self.block(pfn, order, layout.orders - 1, Class::Free, false);
        }
        if kind.is_some() && kind == layout.type_unaccepted {
            let order = layout.orders - 1;
            return self.block(pfn, order, order, Class::Unaccepted, false);
        }
        let class = self.folio_class(kind, words);
        if words.flags & layout.head == 0 {
            return class;
        }
        // folio_large_order(): the low byte of the second page's flags.
        let tail = page.get(layout.size..).unwrap_or_default();
        let order = (u64_at(tail, layout.flags) & 0xff) as u32;
        let is_tail = u64_at(tail, layout.compound_info) & 1 != 0;
        let order = if is_tail && order > 0 {
            order
        } else {
            u32::MAX
        };
        self.block(pfn, order, MAX_FOLIO_ORDER, class, true)
    }

    /// A block of `1 << order` pages, if that can be; otherwise only this page, and as kernel memory.
    fn block(&mut self, pfn: u64, order: u32, max: u32, class: Class, tails: bool) -> Class {
        if order > max || pfn & ((1 << order) - 1) != 0 {
            self.suspicious += 1;
            return Class::Kernel;
        }
        self.run = Run {
            end: pfn + (1 << order),
            class,
            tails,
        };
        class
    }

    fn folio_class(&self, kind: Option<u8>, words: &PageWords) -> Class {
        let layout = self.layout;
        if let Some(kind) = kind {
            return match kind {
                kind if kind == layout.type_hugetlb => Class::Hugetlb,
                kind if Some(kind) == layout.type_offline => Class::Offline,
                _ => Class::Kernel,
            };
        }
        if words.mapping & MAPPING_ANON != 0 {
            return Class::Anon;
        }
        let swap = layout.swapbacked | layout.swapcache;
        let cache = words.flags & layout.lru != 0 || words.flags & swap == swap;
        match (cache, words.flags & layout.private_flag != 0) {
            (false, _) => Class::Kernel,
            (true, false) => Class::Cache,
            (true, true) => Class::CachePrivate,
        }
    }
}
