// SPDX-License-Identifier: GPL-2.0-or-later
//! Addresses as types, so that none is taken for another.

use std::fmt;

/// log2 of the only page size that is supported.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes of a page. x86_64 has no other base page size.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

/// A physical address of the crashed machine, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysAddr(pub u64);

/// A kernel virtual address of the crashed machine, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtAddr(pub u64);

/// A page frame number: a physical address in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pfn(pub u64);

impl PhysAddr {
    /// The page that holds this address.
    pub const fn pfn(self) -> Pfn {
        Pfn(self.0 >> PAGE_SHIFT)
    }
}

impl Pfn {
    /// The first address of the page; saturates at the end of the address space.
    pub const fn addr(self) -> PhysAddr {
        PhysAddr(self.0.saturating_mul(PAGE_SIZE))
    }
}

impl fmt::Display for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "physical address {:#x}", self.0)
    }
}

impl fmt::Display for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "virtual address {:#x}", self.0)
    }
}

impl fmt::Display for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page frame {:#x}", self.0)
    }
}
