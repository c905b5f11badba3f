// SPDX-License-Identifier: GPL-2.0

//! What the headers that this module was compiled with say about the kernel's layout.
//!
//! Only types that the kernel crate binds are here; those that live in a C file (the printk ring buffer, hwerr_data) have
//! other sources. Each entry is one line of the VMCOREINFO text: the word, the name, the value.
//!
//! C headers: [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h),
//! [`include/linux/mmzone.h`](srctree/include/linux/mmzone.h),
//! [`include/linux/page-flags.h`](srctree/include/linux/page-flags.h),
//! [`include/linux/module.h`](srctree/include/linux/module.h),
//! [`include/linux/sched.h`](srctree/include/linux/sched.h)

use core::mem::{offset_of, size_of};
use kernel::bindings::{self, *};

/// The value of one line, when the headers know it.
pub fn value(word: &str, name: &str) -> Option<i64> {
    let entry = LAYOUT
        .iter()
        // The names first: hardly two are of one length, and the words are few.
        .find(|entry| entry.1 == name && entry.0 == word)?;
    Some(entry.2)
}

/// Length of an array member, without an instance of its struct.
const fn len_of<S, T, const N: usize>(_: fn(&S) -> &[T; N]) -> usize {
    N
}

/// A page type as `page->page_type` holds it.
const fn page_type(enumerator: u32) -> i64 {
    ((enumerator << 24) as i32) as i64
}

macro_rules! layout {
    (
        size { $($size:ident)* }
        offset { $($ty:ident . $member:ident)* }
        offset_inside { $($ty_i:ident . $member_i:ident = $($path:ident).+;)* }
        length { $($ty_l:ident . $member_l:ident)* }
        variable_length { $($variable:ident = $len:expr;)* }
        number { $($number:ident = $value:expr;)* }
    ) => {
        const LAYOUT: &[(&str, &str, i64)] = &[
            $(("SIZE", stringify!($size), size_of::<bindings::$size>() as i64),)*
            $((
                "OFFSET",
                concat!(stringify!($ty), ".", stringify!($member)),
                offset_of!(bindings::$ty, $member) as i64,
            ),)*
            $((
                "OFFSET",
                concat!(stringify!($ty_i), ".", stringify!($member_i)),
                offset_of!(bindings::$ty_i, $($path).+) as i64,
            ),)*
            $((
                "LENGTH",
                concat!(stringify!($ty_l), ".", stringify!($member_l)),
                len_of(|s: &bindings::$ty_l| &s.$member_l) as i64,
            ),)*
            $(("LENGTH", stringify!($variable), $len as i64),)*
            $(("NUMBER", stringify!($number), $value as i64),)*
        ];
    };
}

layout! {
    size {
        nodemask_t mem_section pglist_data zone free_area list_head page pageflags atomic_long_t
        module module_memory task_struct
    }
    offset {
        mem_section.section_mem_map
        pglist_data.node_zones pglist_data.nr_zones pglist_data.node_start_pfn
        pglist_data.node_spanned_pages pglist_data.node_id
        zone.free_area zone.vm_stat zone.spanned_pages
        free_area.free_list
        list_head.next list_head.prev
        page.flags page._refcount
        atomic_long_t.counter
        module.list module.name module.mem
        module_memory.base module_memory.size
        task_struct.comm task_struct.pid task_struct.tgid task_struct.tasks task_struct.stack task_struct.thread
        thread_struct.sp
    }
    // Members of anonymous structs and unions, by the path that bindgen gives them.
    offset_inside {
        page.lru = __bindgen_anon_1.__bindgen_anon_1.__bindgen_anon_1.lru;
        page.mapping = __bindgen_anon_1.__bindgen_anon_1.mapping;
        page.private = __bindgen_anon_1.__bindgen_anon_1.private;
        page.compound_info = __bindgen_anon_1.__bindgen_anon_3.compound_info;
        page.compound_head = __bindgen_anon_1.__bindgen_anon_3.compound_info;
        page._mapcount = __bindgen_anon_2._mapcount;
    }
    length {
        zone.free_area
        free_area.free_list
        module.mem
    }
    variable_length {
        node_data = MAX_NUMNODES;
    }
    number {
        N_ONLINE = node_states_N_ONLINE;
        SECTION_SIZE_BITS = SECTION_SIZE_BITS;
        KERNEL_IMAGE_SIZE = KERNEL_IMAGE_SIZE;
        NR_FREE_PAGES = zone_stat_item_NR_FREE_PAGES;
        PG_lru = pageflags_PG_lru;
        PG_private = pageflags_PG_private;
        PG_swapcache = pageflags_PG_swapcache;
        PG_swapbacked = pageflags_PG_swapbacked;
        PG_hwpoison = pageflags_PG_hwpoison;
        PG_head_mask = 1u64 << pageflags_PG_head;
        PAGE_BUDDY_MAPCOUNT_VALUE = page_type(pagetype_PGTY_buddy);
        PAGE_OFFLINE_MAPCOUNT_VALUE = page_type(pagetype_PGTY_offline);
        PAGE_HUGETLB_MAPCOUNT_VALUE = page_type(pagetype_PGTY_hugetlb);
        PAGE_SLAB_MAPCOUNT_VALUE = page_type(pagetype_PGTY_slab);
        PAGE_UNACCEPTED_MAPCOUNT_VALUE = page_type(pagetype_PGTY_unaccepted);
        MOD_TEXT = mod_mem_type_MOD_TEXT;
    }
}
