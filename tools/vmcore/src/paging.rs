// SPDX-License-Identifier: GPL-2.0-or-later
//! x86_64 page tables, 4 and 5 levels (Intel SDM volume 3, chapter 5; arch/x86/include/asm/pgtable_64_types.h).

use crate::addr::{PAGE_SHIFT, PAGE_SIZE, PhysAddr, VirtAddr};
use crate::error::{Error, Result};
use vmcoreinfo::Vmcoreinfo;

/// Where the kernel image is mapped (`__START_KERNEL_map`): fixed, KASLR moves the image within it.
const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
const PRESENT: u64 = 1 << 0;
const LARGE: u64 = 1 << 7;
/// Bits 12 to 51 of an entry: the physical address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// How to translate the kernel's virtual addresses.
#[derive(Debug, Clone, Copy)]
pub struct Paging {
    top: PhysAddr,
    levels: u32,
    sme_mask: u64,
}

impl Paging {
    /// Finds the kernel's top page table.
    ///
    /// # Errors
    /// [`Error::MissingKey`] or [`Error::BadValue`].
    pub fn new(info: &Vmcoreinfo) -> Result<Paging> {
        let purpose = "translating virtual addresses";
        let table = info
            .symbol("init_top_pgt")
            .or_else(|| info.symbol("swapper_pg_dir"))
            .ok_or_else(|| Error::missing("SYMBOL(init_top_pgt)", purpose))?;
        let phys_base = info
            .number("phys_base")
            .ok_or_else(|| Error::missing("NUMBER(phys_base)", purpose))?;
        let levels = match info.number("pgtable_l5_enabled") {
            Some(0) | None => 4,
            Some(_) => 5,
        };
        if table < START_KERNEL_MAP {
            return Err(Error::BadValue {
                what: "SYMBOL(init_top_pgt)".into(),
                value: table,
                valid: "an address in the kernel image (from 0xffffffff80000000 on)",
            });
        }
        Ok(Paging {
            top: PhysAddr((table - START_KERNEL_MAP).wrapping_add(phys_base as u64)),
            levels,
            sme_mask: info.number("sme_mask").unwrap_or(0) as u64,
        })
    }

    /// Translates one address. Reads at most five entries, whatever they say.
    ///
    /// # Errors
    /// [`Error::NotMapped`], or what `read` gives for a page table that is not in the dump.
    pub fn translate(
        &self,
        addr: VirtAddr,
        mut read: impl FnMut(PhysAddr) -> Result<u64>,
    ) -> Result<Mapping> {
        let unmapped = |level| Error::NotMapped { addr, level };
        let bits = PAGE_SHIFT + 9 * self.levels;
        let sign = (addr.0 as i64) >> (bits - 1);
        if sign != 0 && sign != -1 {
            return Err(unmapped(self.levels));
        }
        let mut table = self.top.0;
        for level in (1..=self.levels).rev() {
            let shift = PAGE_SHIFT + 9 * (level - 1);
            let index = addr.0 >> shift & 0x1ff;
            let entry = read(PhysAddr(table + index * 8))? & !self.sme_mask;
            if entry & PRESENT == 0 {
                return Err(unmapped(level));
            }
            if level == 1 || (level <= 3 && entry & LARGE != 0) {
                let span = 1 << shift;
                let base = entry & ADDRESS & !(span - 1);
                return Ok(Mapping {
                    phys: PhysAddr(base + (addr.0 & (span - 1))),
                    bytes_left: span - (addr.0 & (span - 1)),
                });
            }
            table = entry & ADDRESS;
        }
        Err(unmapped(1))
    }
}

/// The result of a translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// Physical address of the byte.
    pub phys: PhysAddr,
    /// How many bytes from there on are mapped contiguously by the same entry.
    pub bytes_left: u64,
}

/// The page that a virtual address lies in.
pub(crate) const fn page_of(addr: VirtAddr) -> u64 {
    addr.0 & !(PAGE_SIZE - 1)
}
