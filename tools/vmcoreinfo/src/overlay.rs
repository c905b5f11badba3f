// SPDX-License-Identifier: GPL-2.0-or-later
//! A `-i` file laid over a dump's note.

use crate::{Key, Kind, Value, Vmcoreinfo};
use modlogic::mkdfinfo::keys::{KEYS, Scope};

/// Why a file does not belong to a dump.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// `OSRELEASE` or `BUILD-ID` differ: the file describes another kernel.
    #[error(
        "{key} of the dump is {dump:?}, of the file {file:?}: the file was made on another kernel; make it again on \
         the one that crashed"
    )]
    OtherKernel {
        /// `OSRELEASE` or `BUILD-ID`.
        key: &'static str,
        /// What the dump's note says.
        dump: String,
        /// What the file says.
        file: String,
    },
    /// A symbol equals the note's before `KERNELOFFSET` is added, or leaves the kernel image when it is added.
    #[error(
        "SYMBOL({symbol})={address:x} of the file is a run-time address (the dump's KERNELOFFSET is {offset:x}); a -i \
         file must hold link-time ones: make it with `kdumpkit mkdfinfo`"
    )]
    NotLinkTime {
        /// The symbol.
        symbol: String,
        /// Its address in the file.
        address: u64,
        /// The note's `KERNELOFFSET`.
        offset: u64,
    },
}

impl Vmcoreinfo {
    /// `self` is a dump's note, `file` a `-i` file: the file's values win, its symbols are moved by the note's
    /// `KERNELOFFSET` (a file holds link-time addresses, a note run-time ones). The note's own `KERNELOFFSET` stays:
    /// it belongs to the crashed boot, the file may come from an earlier one.
    ///
    /// # Errors
    /// [`OverlayError`] when the file belongs to another kernel. A key that only one side has is no error.
    pub fn overlay(&self, file: &Vmcoreinfo) -> Result<Vmcoreinfo, OverlayError> {
        self.same_kernel(file)?;
        let offset = self.kernel_offset().unwrap_or(0);
        let mut merged = self.clone();
        for entry in file.entries() {
            let value = match (entry.key.kind, &entry.value) {
                _ if is_per_boot(&entry.key) && self.get(&entry.key).is_some() => continue,
                (Kind::Symbol, &Value::Address(address)) if is_kernel_address(address) => {
                    Value::Address(self.at_run_time(&entry.key, address, offset)?)
                }
                (_, value) => value.clone(),
            };
            merged.set(entry.key.clone(), value);
        }
        Ok(merged)
    }

    /// Moves one symbol of a file by `offset`, the note's `KERNELOFFSET`.
    fn at_run_time(&self, key: &Key, address: u64, offset: u64) -> Result<u64, OverlayError> {
        let moved = address
            .checked_add(offset)
            .filter(|&moved| moved < END_OF_IMAGE || address >= END_OF_IMAGE);
        match moved {
            Some(moved) if offset == 0 || self.get(key) != Some(&Value::Address(address)) => {
                Ok(moved)
            }
            _ => Err(OverlayError::NotLinkTime {
                symbol: key.name.clone(),
                address,
                offset,
            }),
        }
    }

    /// Checks that both describe the same kernel build, by `OSRELEASE` and `BUILD-ID`; a side that does not say is no
    /// evidence.
    ///
    /// # Errors
    /// [`OverlayError::OtherKernel`] with both values.
    pub fn same_kernel(&self, file: &Vmcoreinfo) -> Result<(), OverlayError> {
        let pairs = [
            ("OSRELEASE", self.osrelease(), file.osrelease()),
            ("BUILD-ID", self.build_id(), file.build_id()),
        ];
        for (key, dump, file) in pairs {
            if let (Some(dump), Some(file)) = (dump, file) {
                if !dump.eq_ignore_ascii_case(file) {
                    return Err(OverlayError::OtherKernel {
                        key,
                        dump: dump.into(),
                        file: file.into(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Values that KASLR, the boot or the machine choose: the crashed boot's note knows them, an older file does not.
/// (`SYMBOL(mem_section)` is among them: the note has the pointer's value, a file the variable's address.)
fn is_per_boot(key: &Key) -> bool {
    match key.kind {
        Kind::Plain => matches!(key.name.as_str(), "KERNELOFFSET" | "CRASHTIME"),
        kind => KEYS.iter().any(|spec| {
            spec.scope == Scope::Boot && (spec.kind, spec.name) == (kind, key.name.as_str())
        }),
    }
}

/// x86_64: `__START_KERNEL_map` plus the largest `KERNEL_IMAGE_SIZE`; no symbol of the image is above, moved or not.
const END_OF_IMAGE: u64 = 0xffff_ffff_c000_0000;

/// Addresses of the kernel image move with `KERNELOFFSET`; per-CPU offsets (small numbers) do not.
fn is_kernel_address(address: u64) -> bool {
    address >= 0xffff_0000_0000_0000
}
