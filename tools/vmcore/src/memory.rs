// SPDX-License-Identifier: GPL-2.0-or-later
//! Typed reads through virtual addresses, for the code that follows the kernel's structures.

use crate::addr::VirtAddr;
use crate::bytes::array;
use crate::error::{Error, Result};
use vmcoreinfo::Vmcoreinfo;

/// The crashed kernel's virtual memory together with the description of its structures.
pub trait Memory {
    /// Fills `buf` from the virtual address on.
    ///
    /// # Errors
    /// Not mapped, not in the dump, or the file cannot be read.
    fn read_virt(&self, addr: VirtAddr, buf: &mut [u8]) -> Result<()>;

    /// The kernel's layout.
    fn vmcoreinfo(&self) -> &Vmcoreinfo;

    /// `bytes` bytes as a new vector. The caller bounds `bytes`.
    ///
    /// # Errors
    /// As [`Memory::read_virt`].
    fn read_bytes(&self, addr: VirtAddr, bytes: usize) -> Result<Vec<u8>> {
        let mut buf = vec![0; bytes];
        self.read_virt(addr, &mut buf)?;
        Ok(buf)
    }

    /// A 32-bit word.
    ///
    /// # Errors
    /// As [`Memory::read_virt`].
    fn read_u32(&self, addr: VirtAddr) -> Result<u32> {
        let mut buf = [0; 4];
        self.read_virt(addr, &mut buf)?;
        Ok(u32::from_le_bytes(buf))
    }

    /// A 64-bit word.
    ///
    /// # Errors
    /// As [`Memory::read_virt`].
    fn read_u64(&self, addr: VirtAddr) -> Result<u64> {
        let mut buf = [0; 8];
        self.read_virt(addr, &mut buf)?;
        Ok(u64::from_le_bytes(buf))
    }
}

/// Layout values of one purpose, with an error that names the missing key.
pub(crate) struct Keys<'a> {
    pub info: &'a Vmcoreinfo,
    pub purpose: &'static str,
}

impl Keys<'_> {
    pub fn symbol(&self, name: &str) -> Result<VirtAddr> {
        let value = self.info.symbol(name);
        value
            .map(VirtAddr)
            .ok_or_else(|| Error::missing(format!("SYMBOL({name})"), self.purpose))
    }

    /// `OFFSET()`, as an index into a structure of at most 1 MiB.
    pub fn offset(&self, name: &str) -> Result<usize> {
        let value = self.info.offset(name);
        self.small(format!("OFFSET({name})"), value)
    }

    /// `SIZE()`, at most 1 MiB.
    pub fn size(&self, name: &str) -> Result<usize> {
        let value = self.info.size(name);
        self.small(format!("SIZE({name})"), value)
    }

    fn small(&self, key: String, value: Option<u64>) -> Result<usize> {
        let value = value.ok_or_else(|| Error::missing(&key, self.purpose))?;
        if value > 1 << 20 {
            return Err(Error::BadValue {
                what: key,
                value,
                valid: "at most 1 MiB",
            });
        }
        Ok(value as usize)
    }
}

/// A field that must lie within the structure that was read.
pub(crate) fn field<const N: usize>(raw: &[u8], at: usize, what: &'static str) -> Result<[u8; N]> {
    array(raw, at).ok_or_else(|| Error::BadValue {
        what: format!("offset of {what}"),
        value: at as u64,
        valid: "inside its structure",
    })
}

/// A 64-bit field.
pub(crate) fn field_u64(raw: &[u8], at: usize, what: &'static str) -> Result<u64> {
    field(raw, at, what).map(u64::from_le_bytes)
}

/// A 32-bit field.
pub(crate) fn field_u32(raw: &[u8], at: usize, what: &'static str) -> Result<u32> {
    field(raw, at, what).map(u32::from_le_bytes)
}
