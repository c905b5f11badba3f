// SPDX-License-Identifier: GPL-2.0
//! The table of what mkdfinfo publishes: written once, it feeds the module, kdumpkit, the documentation and the tests.
//!
//! A key is one line of the VMCOREINFO text. [`How`] says what the value means in terms of the kernel's C types, so
//! that each source (the module's own build, BTF, DWARF, kallsyms, the kernel's note) can answer on its own and be
//! compared with the others. Keys that `makedumpfile -i` reads and that are not here belong to older kernels or other
//! machines, or would be wrong: Documentation/mkdfinfo.rst has the list.

/// What a line says about its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `SYMBOL(name)`: virtual address of a variable or function, hexadecimal without `0x`.
    Symbol,
    /// `SIZE(type)`: size of a type in bytes, decimal.
    Size,
    /// `OFFSET(struct.member)`: offset of a member in bytes, decimal.
    Offset,
    /// `LENGTH(array)`: number of elements, decimal.
    Length,
    /// `NUMBER(name)`: an enumerator, a macro or a variable, decimal (may be negative) or `0x` hexadecimal.
    Number,
    /// Anything else: `OSRELEASE`, `BUILD-ID`, `PAGESIZE`, `KERNELOFFSET`, `CRASHTIME`, `SRCFILE(pud_t)`.
    Plain,
}

impl Kind {
    /// The kinds that have a `WORD(name)` form, in the order in which the text lists them.
    pub const NAMED: [Kind; 5] = [
        Kind::Symbol,
        Kind::Size,
        Kind::Offset,
        Kind::Length,
        Kind::Number,
    ];

    /// The word before the parenthesis; empty for [`Kind::Plain`].
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Symbol => "SYMBOL",
            Kind::Size => "SIZE",
            Kind::Offset => "OFFSET",
            Kind::Length => "LENGTH",
            Kind::Number => "NUMBER",
            Kind::Plain => "",
        }
    }
}

/// What the value is, in terms of the kernel's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Address of the variable or function of this name.
    Address(&'static str),
    /// Address of `array[Enumerator]`, whose elements have this type: (array, (enum, enumerator), element type).
    Element(&'static str, (&'static str, &'static str), &'static str),
    /// `sizeof` the struct, union, enum or typedef of this name.
    Size(&'static str),
    /// `offsetof(struct, member)`.
    Offset(&'static str, &'static str),
    /// Number of elements of an array member.
    ArrayLen(&'static str, &'static str),
    /// Number of elements of a variable that is an array. (BTF knows no variables, DWARF does.)
    VariableLen(&'static str),
    /// `sizeof` a member.
    MemberSize(&'static str, &'static str),
    /// An enumerator of an enum.
    Enumerator(&'static str, &'static str),
    /// `1 << enumerator`.
    Mask(&'static str, &'static str),
    /// `(int)(enumerator << 24)`: a page type as `page->page_type` holds it.
    PageType(&'static str, &'static str),
    /// A macro or a value that only the kernel itself knows: its note says it.
    Note,
}

impl How {
    /// The type whose layout the value is about.
    pub const fn type_name(self) -> Option<&'static str> {
        match self {
            How::Size(ty)
            | How::Offset(ty, _)
            | How::ArrayLen(ty, _)
            | How::MemberSize(ty, _)
            | How::Enumerator(ty, _)
            | How::Mask(ty, _)
            | How::PageType(ty, _) => Some(ty),
            How::Address(_) | How::Element(..) | How::VariableLen(_) | How::Note => None,
        }
    }
}

/// How long a value is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// For every boot of this kernel build, on every machine.
    Build,
    /// For this boot only (KASLR), or for this machine only (5-level paging, memory encryption).
    Boot,
}

/// What a key is needed for; a chapter of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Finding `struct page` of a frame.
    MemoryModel,
    /// Classifying a page.
    PageClass,
    /// Walking page tables.
    Translation,
    /// The printk ring buffer.
    Dmesg,
    /// Names of addresses: the kernel's own tables, BTF and modules.
    Names,
    /// Who crashed: tasks and registers.
    Tasks,
    /// Counters of recovered hardware errors.
    HardwareErrors,
}

/// One line of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// What the line says about `name`.
    pub kind: Kind,
    /// The name in the parentheses.
    pub name: &'static str,
    /// What the value is.
    pub how: How,
    /// How long it is true.
    pub scope: Scope,
    /// Its name in the kernel's note; `None` when the note has no such line, or means something else by it.
    pub note: Option<&'static str>,
    /// What it is needed for.
    pub group: Group,
}

const fn key(kind: Kind, name: &'static str, how: How) -> Key {
    Key {
        kind,
        name,
        how,
        scope: Scope::Build,
        note: Some(name),
        group: Group::MemoryModel,
    }
}

/// A variable, under its own name.
const fn symbol(name: &'static str) -> Key {
    key(Kind::Symbol, name, How::Address(name))
}

/// A variable whose line in the note holds the pointer's value instead of its address.
const fn pointer(name: &'static str) -> Key {
    Key {
        note: None,
        ..symbol(name)
    }
}

/// A variable under the name that C knows it by.
const fn alias(name: &'static str, symbol: &'static str) -> Key {
    key(Kind::Symbol, name, How::Address(symbol))
}

const fn element(
    name: &'static str,
    array: &'static str,
    index: (&'static str, &'static str),
    ty: &'static str,
) -> Key {
    key(Kind::Symbol, name, How::Element(array, index, ty))
}

const fn size(name: &'static str) -> Key {
    key(Kind::Size, name, How::Size(name))
}

/// `OFFSET(struct.member)`.
const fn offset(name: &'static str) -> Key {
    let (ty, member) = split(name);
    key(Kind::Offset, name, How::Offset(ty, member))
}

/// A member of today under the name that older readers know it by.
const fn offset_as(name: &'static str, today: &'static str) -> Key {
    let (ty, member) = split(today);
    Key {
        note: Some(today),
        ..key(Kind::Offset, name, How::Offset(ty, member))
    }
}

/// `LENGTH(struct.member)` of an array member.
const fn length(name: &'static str) -> Key {
    let (ty, member) = split(name);
    key(Kind::Length, name, How::ArrayLen(ty, member))
}

const fn length_of(name: &'static str, how: How) -> Key {
    key(Kind::Length, name, how)
}

const fn number(name: &'static str, how: How) -> Key {
    key(Kind::Number, name, how)
}

/// A value of this boot or machine; only the note knows it.
const fn boot(kind: Kind, name: &'static str) -> Key {
    Key {
        scope: Scope::Boot,
        ..key(kind, name, How::Note)
    }
}

/// Takes `struct.member` apart. (`str::split_once` is not const.)
const fn split(name: &'static str) -> (&'static str, &'static str) {
    let bytes = name.as_bytes();
    let mut i = 0;
    while bytes[i] != b'.' {
        i += 1;
    }
    let (left, right) = bytes.split_at(i);
    (utf8(left), utf8(right.split_at(1).1))
}

const fn utf8(bytes: &'static [u8]) -> &'static str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        // Evaluated at compile time only.
        Err(_) => panic!("key names are ASCII"),
    }
}

macro_rules! keys {
    ($($group:ident { $($key:expr;)* })*) => {
        /// All keys, in the order of the text.
        pub const KEYS: &[Key] = &[$($(Key { group: Group::$group, ..$key },)*)*];
    };
}

use How::{Enumerator, Mask, MemberSize, Note, PageType};

keys! {
    MemoryModel {
        symbol("init_uts_ns");
        offset("uts_namespace.name");
        element("node_online_map", "node_states", ("node_states", "N_ONLINE"), "nodemask_t");
        symbol("node_states");
        number("N_ONLINE", Enumerator("node_states", "N_ONLINE"));
        size("nodemask_t");
        symbol("node_data");
        length_of("node_data", How::VariableLen("node_data"));
        pointer("mem_section");
        boot(Kind::Symbol, "mem_section");
        boot(Kind::Length, "mem_section");
        size("mem_section");
        offset("mem_section.section_mem_map");
        number("SECTION_SIZE_BITS", Note);
        boot(Kind::Number, "MAX_PHYSMEM_BITS");
        size("pglist_data");
        offset("pglist_data.node_zones");
        offset("pglist_data.nr_zones");
        offset("pglist_data.node_start_pfn");
        offset("pglist_data.node_spanned_pages");
        offset("pglist_data.node_id");
        size("zone");
        offset("zone.free_area");
        offset("zone.vm_stat");
        offset("zone.spanned_pages");
        length("zone.free_area");
        size("free_area");
        offset("free_area.free_list");
        length("free_area.free_list");
        size("list_head");
        offset("list_head.next");
        offset("list_head.prev");
        number("NR_FREE_PAGES", Enumerator("zone_stat_item", "NR_FREE_PAGES"));
        symbol("max_pfn");
        symbol("high_memory");
    }
    PageClass {
        size("page");
        offset("page.flags");
        offset("page._refcount");
        offset("page.mapping");
        offset("page.lru");
        offset("page._mapcount");
        offset("page.private");
        offset("page.compound_info");
        offset_as("page.compound_head", "page.compound_info");
        size("pageflags");
        number("PG_lru", Enumerator("pageflags", "PG_lru"));
        number("PG_private", Enumerator("pageflags", "PG_private"));
        number("PG_swapcache", Enumerator("pageflags", "PG_swapcache"));
        number("PG_swapbacked", Enumerator("pageflags", "PG_swapbacked"));
        number("PG_hwpoison", Enumerator("pageflags", "PG_hwpoison"));
        number("PG_head_mask", Mask("pageflags", "PG_head"));
        number("PAGE_BUDDY_MAPCOUNT_VALUE", PageType("pagetype", "PGTY_buddy"));
        number("PAGE_OFFLINE_MAPCOUNT_VALUE", PageType("pagetype", "PGTY_offline"));
        number("PAGE_HUGETLB_MAPCOUNT_VALUE", PageType("pagetype", "PGTY_hugetlb"));
        number("PAGE_SLAB_MAPCOUNT_VALUE", PageType("pagetype", "PGTY_slab"));
        number("PAGE_UNACCEPTED_MAPCOUNT_VALUE", PageType("pagetype", "PGTY_unaccepted"));
    }
    Translation {
        symbol("init_top_pgt");
        alias("swapper_pg_dir", "init_top_pgt");
        symbol("level4_kernel_pgt");
        symbol("_stext");
        number("KERNEL_IMAGE_SIZE", Note);
        boot(Kind::Number, "phys_base");
        boot(Kind::Number, "pgtable_l5_enabled");
        boot(Kind::Number, "sme_mask");
        boot(Kind::Number, "VMALLOC_START");
        boot(Kind::Symbol, "vmemmap");
        symbol("page_offset_base");
        symbol("vmalloc_base");
        symbol("vmemmap_base");
        offset("vmap_area.va_start");
        offset("vmap_area.list");
        offset("vm_struct.addr");
    }
    Dmesg {
        symbol("prb");
        symbol("printk_rb_static");
        symbol("clear_seq");
        symbol("log_buf");
        symbol("log_buf_len");
        size("printk_ringbuffer");
        offset("printk_ringbuffer.desc_ring");
        offset("printk_ringbuffer.text_data_ring");
        offset("printk_ringbuffer.fail");
        size("prb_desc_ring");
        offset("prb_desc_ring.count_bits");
        offset("prb_desc_ring.descs");
        offset("prb_desc_ring.infos");
        offset("prb_desc_ring.head_id");
        offset("prb_desc_ring.tail_id");
        size("prb_desc");
        offset("prb_desc.state_var");
        offset("prb_desc.text_blk_lpos");
        size("prb_data_blk_lpos");
        offset("prb_data_blk_lpos.begin");
        offset("prb_data_blk_lpos.next");
        size("prb_data_ring");
        offset("prb_data_ring.size_bits");
        offset("prb_data_ring.data");
        offset("prb_data_ring.head_lpos");
        offset("prb_data_ring.tail_lpos");
        size("printk_info");
        offset("printk_info.seq");
        offset("printk_info.ts_nsec");
        offset("printk_info.text_len");
        offset("printk_info.caller_id");
        offset("printk_info.dev_info");
        size("dev_printk_info");
        offset("dev_printk_info.subsystem");
        length_of("printk_info_subsystem", MemberSize("dev_printk_info", "subsystem"));
        offset("dev_printk_info.device");
        length_of("printk_info_device", MemberSize("dev_printk_info", "device"));
        size("atomic_long_t");
        offset("atomic_long_t.counter");
        size("latched_seq");
        offset("latched_seq.val");
    }
    Names {
        symbol("kallsyms_names");
        symbol("kallsyms_num_syms");
        symbol("kallsyms_token_table");
        symbol("kallsyms_token_index");
        symbol("kallsyms_offsets");
        symbol("__start_BTF");
        symbol("__stop_BTF");
        symbol("modules");
        size("module");
        offset("module.list");
        offset("module.name");
        offset("module.mem");
        length("module.mem");
        size("module_memory");
        offset("module_memory.base");
        offset("module_memory.size");
        number("MOD_TEXT", Enumerator("mod_mem_type", "MOD_TEXT"));
    }
    Tasks {
        symbol("init_task");
        size("task_struct");
        offset("task_struct.comm");
        offset("task_struct.pid");
        offset("task_struct.tgid");
        offset("task_struct.tasks");
        offset("task_struct.stack");
        offset("task_struct.thread");
        offset("thread_struct.sp");
        symbol("__per_cpu_offset");
        symbol("__cpu_online_mask");
        symbol("nr_cpu_ids");
        symbol("crash_notes");
        size("note_buf_t");
        size("elf_prstatus");
        offset("elf_prstatus.pr_reg");
        offset("elf_prstatus_common.pr_pid");
        symbol("panic_cpu");
    }
    HardwareErrors {
        symbol("hwerr_data");
        length_of("hwerr_data", Enumerator("hwerr_error_type", "HWERR_RECOV_MAX"));
        size("hwerr_info");
        offset("hwerr_info.count");
        offset("hwerr_info.timestamp");
    }
}
