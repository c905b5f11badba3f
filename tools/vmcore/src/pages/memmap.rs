// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the `struct page` of a page frame is: SPARSEMEM (include/linux/mmzone.h).
//!
//! `mem_section` is an array of roots, a root is one page of `struct mem_section`, and `section_mem_map` is the address
//! of the section's first structure minus its page frame number, with flags in the low bits.

use crate::addr::{PAGE_SHIFT, PAGE_SIZE, Pfn, VirtAddr};
use crate::bytes::u64_at;
use crate::error::{Error, Result};
use crate::memory::{Keys, Memory};

const PRESENT: u64 = 1 << 0;
const HAS_MEM_MAP: u64 = 1 << 1;
const ONLINE: u64 = 1 << 2;
/// Flags, up to SECTION_MAP_LAST_BIT (5 or 6): the array is aligned to more.
const FLAGS: u64 = 0x3f;
/// The kernel image: a `SYMBOL(mem_section)` in it is the variable, otherwise already its value.
const KERNEL_IMAGE: u64 = 0xffff_ffff_8000_0000;

/// Finds structures section by section, in ascending order at best.
pub struct MemMap<'a, M: ?Sized> {
    memory: &'a M,
    roots: u64,
    root_count: u64,
    section_size: usize,
    map_offset: usize,
    pfns_per_section: u64,
    page_size: u64,
    cached: Option<(u64, Vec<u8>)>,
}

impl<'a, M: Memory + ?Sized> MemMap<'a, M> {
    /// Finds the array of sections.
    ///
    /// # Errors
    /// A missing or impossible VMCOREINFO value, or the array is not in the dump.
    pub fn new(memory: &'a M) -> Result<MemMap<'a, M>> {
        let info = memory.vmcoreinfo();
        let keys = Keys {
            info,
            purpose: "finding struct page (SPARSEMEM)",
        };
        let mut roots = keys.symbol("mem_section")?;
        if roots.0 >= KERNEL_IMAGE {
            roots = VirtAddr(memory.read_u64(roots)?);
        }
        let section_size = keys.size("mem_section")?;
        let map_offset = keys.offset("mem_section.section_mem_map")?;
        let bits = info.number("SECTION_SIZE_BITS").unwrap_or(27);
        let bad = |what: &str, value, valid| {
            Err(Error::BadValue {
                what: what.into(),
                value,
                valid,
            })
        };
        if !(20..=40).contains(&bits) {
            return bad("NUMBER(SECTION_SIZE_BITS)", bits as u64, "20 to 40");
        }
        if section_size < 8 || section_size as u64 > PAGE_SIZE || map_offset + 8 > section_size {
            return bad(
                "SIZE(mem_section)",
                section_size as u64,
                "8 to 4096, larger than OFFSET()",
            );
        }
        let root_count = info.length("mem_section").unwrap_or(0);
        if root_count == 0 || root_count > 1 << 32 {
            return bad("LENGTH(mem_section)", root_count, "1 to 2^32");
        }
        Ok(MemMap {
            memory,
            roots: roots.0,
            root_count,
            section_size,
            map_offset,
            pfns_per_section: 1 << (bits as u32 - PAGE_SHIFT),
            page_size: keys.size("page")? as u64,
            cached: None,
        })
    }

    /// Pages of one section.
    pub fn pfns_per_section(&self) -> u64 {
        self.pfns_per_section
    }

    /// The address of a page's structure; none when its section is absent or offline.
    ///
    /// # Errors
    /// The section array is not in the dump, or the file cannot be read.
    pub fn struct_page(&mut self, pfn: Pfn) -> Result<Option<VirtAddr>> {
        let section = pfn.0 / self.pfns_per_section;
        let per_root = PAGE_SIZE / self.section_size as u64;
        let root = section / per_root;
        if root >= self.root_count {
            return Ok(None);
        }
        let within = (section % per_root) as usize * self.section_size + self.map_offset;
        let map = match self.root(root)? {
            Some(raw) => u64_at(raw, within),
            None => return Ok(None),
        };
        let wanted = PRESENT | HAS_MEM_MAP | ONLINE;
        let first = (map & !FLAGS).wrapping_add(pfn.0.wrapping_mul(self.page_size));
        Ok((map & wanted == wanted).then_some(VirtAddr(first)))
    }

    fn root(&mut self, root: u64) -> Result<Option<&[u8]>> {
        if self
            .cached
            .as_ref()
            .is_none_or(|(cached, _)| *cached != root)
        {
            let at = VirtAddr(self.roots.wrapping_add(root * 8));
            let page = match self.memory.read_u64(at)? {
                0 => Vec::new(),
                at => self.memory.read_bytes(VirtAddr(at), PAGE_SIZE as usize)?,
            };
            self.cached = Some((root, page));
        }
        let raw = self.cached.as_ref().map(|(_, raw)| raw.as_slice());
        Ok(raw.filter(|raw| !raw.is_empty()))
    }
}
