// SPDX-License-Identifier: GPL-2.0-or-later
//! What must be known about `struct page` to classify it, all of it from VMCOREINFO.
//!
//! Supported is the layout of Linux 6.11 and later, where the page type has the top byte of `page_type` for itself.
//! Nothing is guessed: a kernel whose VMCOREINFO does not say how it works is refused.

use crate::error::{Error, Result};
use crate::memory::Keys;
use vmcoreinfo::Vmcoreinfo;

/// Largest `struct page` that is believed (64 on x86_64; debug options add to it).
const MAX_PAGE_STRUCT_BYTES: u64 = 256;

/// Offsets within `struct page`, flag masks and page types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLayout {
    /// `SIZE(page)`.
    pub size: usize,
    pub(crate) flags: usize,
    pub(crate) mapping: usize,
    /// `_mapcount`, in the same word as `page_type`.
    pub(crate) page_type: usize,
    pub(crate) private: usize,
    /// `compound_info` (7.1 on) or `compound_head`: bit 0 marks a tail.
    pub(crate) compound_info: usize,
    pub(crate) lru: u64,
    pub(crate) private_flag: u64,
    pub(crate) swapcache: u64,
    pub(crate) swapbacked: u64,
    pub(crate) head: u64,
    /// 0 without CONFIG_MEMORY_FAILURE.
    pub(crate) hwpoison: u64,
    pub(crate) type_buddy: u8,
    pub(crate) type_offline: Option<u8>,
    pub(crate) type_hugetlb: u8,
    pub(crate) type_slab: u8,
    pub(crate) type_unaccepted: Option<u8>,
    /// `LENGTH(zone.free_area)`: free blocks have orders below it.
    pub(crate) orders: u32,
}

impl PageLayout {
    /// Reads the layout.
    ///
    /// # Errors
    /// [`Error::MissingKey`] for a kernel that does not describe itself well enough, [`Error::BadValue`] for a
    /// description that cannot be true.
    pub fn new(info: &Vmcoreinfo) -> Result<PageLayout> {
        let keys = Keys {
            info,
            purpose: "classifying pages (dump levels above 1)",
        };
        let size = keys.size("page")?;
        if size as u64 > MAX_PAGE_STRUCT_BYTES || size < 32 || size % 8 != 0 {
            return Err(Error::BadValue {
                what: "SIZE(page)".into(),
                value: size as u64,
                valid: "a multiple of 8 from 32 to 256",
            });
        }
        let offset = |name: &str, bytes: usize| within(name, keys.offset(name)?, bytes, size);
        let compound_info = match info.offset("page.compound_info") {
            Some(_) => "page.compound_info",
            None => "page.compound_head",
        };
        Ok(PageLayout {
            size,
            flags: offset("page.flags", 8)?,
            mapping: offset("page.mapping", 8)?,
            page_type: offset("page._mapcount", 4)?,
            private: offset("page.private", 8)?,
            compound_info: offset(compound_info, 8)?,
            lru: flag(&keys, "PG_lru")?,
            private_flag: flag(&keys, "PG_private")?,
            swapcache: flag(&keys, "PG_swapcache")?,
            swapbacked: flag(&keys, "PG_swapbacked")?,
            head: number(&keys, "PG_head_mask")? as u64,
            hwpoison: flag(&keys, "PG_hwpoison").unwrap_or(0),
            type_buddy: page_type(&keys, "PAGE_BUDDY_MAPCOUNT_VALUE")?,
            type_offline: page_type(&keys, "PAGE_OFFLINE_MAPCOUNT_VALUE").ok(),
            type_hugetlb: page_type(&keys, "PAGE_HUGETLB_MAPCOUNT_VALUE")?,
            type_slab: page_type(&keys, "PAGE_SLAB_MAPCOUNT_VALUE")?,
            type_unaccepted: page_type(&keys, "PAGE_UNACCEPTED_MAPCOUNT_VALUE").ok(),
            orders: orders(&keys)?,
        })
    }
}

fn within(name: &str, offset: usize, bytes: usize, size: usize) -> Result<usize> {
    if offset + bytes <= size {
        return Ok(offset);
    }
    Err(Error::BadValue {
        what: format!("OFFSET({name})"),
        value: offset as u64,
        valid: "inside SIZE(page)",
    })
}

fn number(keys: &Keys<'_>, name: &str) -> Result<i64> {
    let value = keys.info.number(name);
    value.ok_or_else(|| Error::missing(format!("NUMBER({name})"), keys.purpose))
}

fn flag(keys: &Keys<'_>, name: &str) -> Result<u64> {
    match number(keys, name)? {
        bit @ 0..=63 => Ok(1 << bit),
        bit => Err(Error::BadValue {
            what: format!("NUMBER({name})"),
            value: bit as u64,
            valid: "a bit number from 0 to 63",
        }),
    }
}

/// The kernel tests `page_type >> 24`, owners reuse the bits below (`PGTY_*`, include/linux/page-flags.h).
fn page_type(keys: &Keys<'_>, name: &str) -> Result<u8> {
    let value = number(keys, name)? as u32;
    let kind = (value >> 24) as u8;
    if value << 8 == 0 && (0x80..0xff).contains(&kind) {
        return Ok(kind);
    }
    Err(Error::BadValue {
        what: format!("NUMBER({name})"),
        value: value.into(),
        valid: "a page type in the top byte (Linux 6.11 or later)",
    })
}

fn orders(keys: &Keys<'_>) -> Result<u32> {
    match keys.info.length("zone.free_area") {
        None => Err(Error::missing("LENGTH(zone.free_area)", keys.purpose)),
        Some(orders @ 1..=32) => Ok(orders as u32),
        Some(value) => Err(Error::BadValue {
            what: "LENGTH(zone.free_area)".into(),
            value,
            valid: "1 to 32",
        }),
    }
}
