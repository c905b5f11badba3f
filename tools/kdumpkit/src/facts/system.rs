// SPDX-License-Identifier: GPL-2.0-or-later
//! The crashed kernel and machine as a whole: who it was, how it was started, what it had been through, its memory.

use super::layout::{Layout, text};
use anyhow::{Context as _, Result};
use serde::Serialize;
use vmcore::memory::Memory;
use vmcore::{Dump, VirtAddr};

/// COMMAND_LINE_SIZE is 2048; a bootconfig can make it longer.
const MAX_CMDLINE_BYTES: usize = 16 << 10;
/// __NEW_UTS_LEN + 1.
const UTS_BYTES: usize = 65;
/// struct new_utsname's strings.
const UTS_FIELDS: usize = 6;
/// No kernel knows more kinds of recovered errors.
const MAX_ERROR_KINDS: u64 = 64;

/// What `uname -a` said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uname {
    /// Kernel release.
    pub release: String,
    /// Build number, date, options.
    pub version: String,
    /// Architecture.
    pub machine: String,
    /// Host name.
    pub nodename: String,
}

/// One reason why the kernel called itself tainted (Documentation/admin-guide/tainted-kernels.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Taint {
    /// As in an oops.
    pub letter: char,
    /// In words.
    pub meaning: &'static str,
}

/// Taints by bit.
const TAINTS: [(char, &str); 20] = [
    ('P', "proprietary module"),
    ('F', "module loaded by force"),
    ('S', "out of the processor's specification"),
    ('R', "module unloaded by force"),
    ('M', "machine check"),
    ('B', "bad page"),
    ('U', "set by user space"),
    ('D', "oops or BUG before"),
    ('A', "ACPI table overridden"),
    ('W', "warning before"),
    ('C', "staging driver"),
    ('I', "work-around for firmware"),
    ('O', "module from outside the kernel's tree"),
    ('E', "unsigned module"),
    ('L', "soft lockup before"),
    ('K', "live-patched"),
    ('X', "auxiliary, set by the distribution"),
    ('T', "built with structure randomisation"),
    ('N', "test module"),
    ('J', "fwctl has changed the machine"),
];

/// Where the memory was, in bytes. Counters of single CPUs that were not yet added up are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryUse {
    /// What the page allocator manages.
    pub total: u64,
    /// Free, without the CPUs' own lists.
    pub free: u64,
    /// Mapped anonymous memory of processes.
    pub anonymous: u64,
    /// Page cache, shared memory among it.
    pub file: u64,
    /// Shared memory and tmpfs.
    pub shared: u64,
    /// Slabs that can be shrunk.
    pub slab_reclaimable: u64,
    /// Other slabs.
    pub slab_unreclaimable: u64,
    /// Page tables.
    pub page_tables: u64,
}

impl MemoryUse {
    /// What none of the counters covers: the kernel's own pages, drivers, lists of single CPUs.
    pub fn other(&self) -> u64 {
        let parts = [
            self.free,
            self.anonymous,
            self.file,
            self.slab_reclaimable,
            self.slab_unreclaimable,
            self.page_tables,
        ];
        parts
            .iter()
            .fold(self.total, |rest, part| rest.saturating_sub(*part))
    }
}

/// Hardware errors that the kernel recovered from (kernel 6.18 and later).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HardwareErrors {
    /// Source of the errors.
    pub source: String,
    /// How many.
    pub count: u32,
}

fn symbol(dump: &Dump, name: &str) -> Result<VirtAddr> {
    let address = dump.symbols()?.address(name);
    address.with_context(|| format!("this kernel has no symbol {name}"))
}

/// Reads the kernel's name.
///
/// # Errors
/// It is not in the dump.
pub fn uname(dump: &Dump, layout: &Layout) -> Result<Uname> {
    let at = layout.at(symbol(dump, "init_uts_ns")?, "uts_namespace.name")?;
    let raw = dump.read_bytes(at, UTS_FIELDS * UTS_BYTES)?;
    let field = |i: usize| text(&raw[i * UTS_BYTES..(i + 1) * UTS_BYTES]);
    Ok(Uname {
        nodename: field(1),
        release: field(2),
        version: field(3),
        machine: field(4),
    })
}

/// Reads the kernel's command line.
///
/// # Errors
/// It is not in the dump.
pub fn cmdline(dump: &Dump) -> Result<String> {
    let at = dump.read_u64(symbol(dump, "saved_command_line")?)?;
    let mut raw = Vec::new();
    // Up to the end of one page after the other: what is behind the text need not be mapped.
    while raw.len() < MAX_CMDLINE_BYTES && !raw.contains(&0) {
        let next = at.wrapping_add(raw.len() as u64);
        raw.extend(dump.read_bytes(VirtAddr(next), 4096 - (next % 4096) as usize)?);
    }
    Ok(text(&raw).trim().to_owned())
}

/// Reads the processor's name.
///
/// # Errors
/// It is not in the dump.
pub fn processor(dump: &Dump, layout: &Layout) -> Result<String> {
    let at = symbol(dump, "boot_cpu_data")?;
    let name = layout.text(dump, at, "cpuinfo_x86.x86_model_id")?;
    Ok(name.trim().to_owned())
}

/// Reads why the kernel calls itself tainted.
///
/// # Errors
/// It is not in the dump.
pub fn taints(dump: &Dump) -> Result<Vec<Taint>> {
    let mask = dump.read_u64(symbol(dump, "tainted_mask")?)?;
    let set = TAINTS
        .iter()
        .enumerate()
        .filter(|(bit, _)| mask >> bit & 1 == 1);
    Ok(set
        .map(|(_, &(letter, meaning))| Taint { letter, meaning })
        .collect())
}

/// Reads the kernel's own counters of its memory.
///
/// # Errors
/// They are not in the dump.
pub fn memory(dump: &Dump, layout: &Layout) -> Result<MemoryUse> {
    let counter = |array: &str, index: u64| -> Result<u64> {
        let at = symbol(dump, array)?.0.wrapping_add(8 * index.min(1024));
        let pages = dump.read_u64(VirtAddr(at))?;
        // A sum that misses a CPU's part can be below zero.
        let pages = if pages > i64::MAX as u64 { 0 } else { pages };
        Ok(pages.saturating_mul(4096))
    };
    let node = |name| counter("vm_node_stat", layout.enumerator(name)?);
    Ok(MemoryUse {
        total: counter("_totalram_pages", 0)?,
        free: counter(
            "vm_zone_stat",
            layout.enumerator("zone_stat_item.NR_FREE_PAGES")?,
        )?,
        anonymous: node("node_stat_item.NR_ANON_MAPPED")?,
        file: node("node_stat_item.NR_FILE_PAGES")?,
        shared: node("node_stat_item.NR_SHMEM")?,
        slab_reclaimable: node("node_stat_item.NR_SLAB_RECLAIMABLE_B")?,
        slab_unreclaimable: node("node_stat_item.NR_SLAB_UNRECLAIMABLE_B")?,
        page_tables: node("node_stat_item.NR_PAGETABLE")?,
    })
}

/// Reads the counters of recovered hardware errors; those that are not zero.
///
/// # Errors
/// They are not in the dump. A kernel without them has none.
pub fn hardware_errors(dump: &Dump, layout: &Layout) -> Result<Vec<HardwareErrors>> {
    const SOURCES: [&str; 5] = ["CPU", "memory", "PCI", "CXL", "other"];
    let Ok(at) = symbol(dump, "hwerr_data") else {
        return Ok(Vec::new());
    };
    let kinds = layout.enumerator("hwerr_error_type.HWERR_RECOV_MAX")?;
    let mut errors = Vec::new();
    for kind in 0..kinds.min(MAX_ERROR_KINDS) {
        let element = VirtAddr(at.0.wrapping_add(kind * layout.size("hwerr_info")?));
        let count = layout.u32(dump, element, "hwerr_info.count")?;
        if count > 0 {
            let source = SOURCES.get(kind as usize);
            let source = source.map_or_else(|| format!("kind {kind}"), |s| (*s).to_owned());
            errors.push(HardwareErrors { source, count });
        }
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_are_at_their_bits() {
        // include/linux/panic.h: TAINT_OOT_MODULE 12, TAINT_UNSIGNED_MODULE 13, TAINT_FWCTL 19.
        assert_eq!(TAINTS[12].0, 'O');
        assert_eq!(TAINTS[13].0, 'E');
        assert_eq!(TAINTS[19].0, 'J');
    }
}
