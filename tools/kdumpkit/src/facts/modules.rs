// SPDX-License-Identifier: GPL-2.0-or-later
//! The crashed kernel's modules: their places, their symbols, their unwind tables.

use super::layout::Layout;
use super::orc::Table;
use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use std::collections::HashSet;
use std::ops::Range;
use vmcore::memory::Memory;
use vmcore::{Dump, VirtAddr};

/// No machine loads more.
const MAX_MODULES: usize = 4096;
/// A module with as many symbols as half the kernel.
const MAX_SYMBOLS: u64 = 256 << 10;
/// Its names; 64 bytes each.
const MAX_STRTAB_BYTES: u64 = 16 << 20;
const MAX_NAME_BYTES: usize = 512;
/// Elf64_Sym.
const ELF_SYM_BYTES: usize = 24;
/// TAINT_*: letters of a module's taints, by bit (kernel/panic.c). Modules have only a few of them.
const TAINT_LETTERS: [(u32, char); 8] = [
    (0, 'P'),
    (1, 'F'),
    (10, 'C'),
    (12, 'O'),
    (13, 'E'),
    (15, 'K'),
    (16, 'X'),
    (18, 'N'),
];

/// One module.
#[derive(Debug, Clone, Serialize)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// `MODULE_VERSION`; empty without.
    pub version: String,
    /// Letters as in /proc/modules.
    pub taints: String,
    /// Bytes of all its sections.
    pub bytes: u64,
    /// Where the first of them lies.
    pub address: u64,
    #[serde(skip)]
    struct_at: VirtAddr,
    #[serde(skip)]
    areas: Vec<Range<u64>>,
}

/// A function of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    pub start: u64,
    pub name: String,
}

/// All modules, in the order of the kernel's list (the newest first).
///
/// # Errors
/// The list is damaged or not in the dump.
pub fn list(dump: &Dump, layout: &Layout) -> Result<Vec<Module>> {
    let symbols = dump.symbols()?;
    let head = symbols.address("modules").context("no symbol modules")?;
    let link = layout.offset("module.list")?;
    let mut modules = Vec::new();
    let mut seen = HashSet::new();
    let mut next = dump.read_u64(head)?;
    while next != head.0 {
        if !seen.insert(next) || modules.len() == MAX_MODULES {
            bail!(
                "the list of modules is damaged behind {} entries",
                modules.len()
            );
        }
        let base = VirtAddr(next.wrapping_sub(link));
        modules.push(read(dump, layout, base)?);
        next = dump.read_u64(VirtAddr(next))?;
    }
    Ok(modules)
}

fn read(dump: &Dump, layout: &Layout, base: VirtAddr) -> Result<Module> {
    let mem = layout.at(base, "module.mem")?;
    let step = layout.size("module_memory")?.max(1);
    let mut areas = Vec::new();
    for i in 0..(layout.member_size("module.mem")? / step).min(16) {
        let area = VirtAddr(mem.0.wrapping_add(i * step));
        let start = layout.u64(dump, area, "module_memory.base")?;
        let bytes = layout.u32(dump, area, "module_memory.size")?;
        if start != 0 && bytes != 0 {
            areas.push(start..start.saturating_add(bytes.into()));
        }
    }
    let taints = layout.u64(dump, base, "module.taints")?;
    let version = layout.u64(dump, base, "module.version")?;
    Ok(Module {
        name: layout.text(dump, base, "module.name")?,
        version: match version {
            0 => String::new(),
            at => string(dump, at).unwrap_or_default(),
        },
        taints: TAINT_LETTERS
            .iter()
            .filter(|(bit, _)| taints >> bit & 1 == 1)
            .map(|(_, letter)| letter)
            .collect(),
        bytes: areas.iter().map(|area| area.end - area.start).sum(),
        address: areas.first().map_or(0, |area| area.start),
        struct_at: base,
        areas,
    })
}

/// A NUL-terminated string of at most [`MAX_NAME_BYTES`]; it may end with the last mapped page.
fn string(dump: &Dump, at: u64) -> Option<String> {
    let page_end = (at | 4095).checked_add(1)?;
    let here = (page_end - at).min(MAX_NAME_BYTES as u64) as usize;
    let mut raw = dump.read_bytes(VirtAddr(at), here).ok()?;
    if !raw.contains(&0) && here < MAX_NAME_BYTES {
        raw.extend(
            dump.read_bytes(VirtAddr(page_end), MAX_NAME_BYTES - here)
                .ok()?,
        );
    }
    Some(super::layout::text(&raw))
}

impl Module {
    /// Whether the address lies in the module.
    pub fn contains(&self, address: u64) -> bool {
        self.areas.iter().any(|area| area.contains(&address))
    }

    /// Its unwind table.
    pub(super) fn orc(&self, dump: &Dump, layout: &Layout) -> Option<Table> {
        let pointer = |path| layout.u64(dump, self.struct_at, path).ok().map(VirtAddr);
        let count = layout
            .u32(dump, self.struct_at, "module.arch.num_orcs")
            .ok()?;
        Table::new(
            pointer("module.arch.orc_unwind_ip")?,
            pointer("module.arch.orc_unwind")?,
            count.into(),
        )
    }

    /// Its functions, by address.
    ///
    /// # Errors
    /// The symbol table is damaged or not in the dump.
    pub(super) fn functions(&self, dump: &Dump, layout: &Layout) -> Result<Vec<Function>> {
        let table = VirtAddr(layout.u64(dump, self.struct_at, "module.kallsyms")?);
        let count = u64::from(layout.u32(dump, table, "mod_kallsyms.num_symtab")?);
        if count > MAX_SYMBOLS {
            bail!(
                "module {}: {count} symbols, at most {MAX_SYMBOLS} are read",
                self.name
            );
        }
        let symtab = VirtAddr(layout.u64(dump, table, "mod_kallsyms.symtab")?);
        let strtab = layout.u64(dump, table, "mod_kallsyms.strtab")?;
        let raw = dump.read_bytes(symtab, count as usize * ELF_SYM_BYTES)?;
        let symbols: Vec<(u64, u64)> = raw
            .chunks_exact(ELF_SYM_BYTES)
            .map(|sym| (number(&sym[..4]), number(&sym[8..16])))
            .filter(|(_, start)| self.contains(*start))
            .collect();
        // All names but the last in one piece: it is not known where the last one ends.
        let last = symbols.iter().map(|symbol| symbol.0).max().unwrap_or(0);
        if last > MAX_STRTAB_BYTES {
            bail!("module {}: a symbol's name at {last:#x}", self.name);
        }
        let names = dump.read_bytes(VirtAddr(strtab), last as usize)?;
        let name = |at: u64| match names.get(at as usize..).unwrap_or_default() {
            [] => string(dump, strtab.wrapping_add(at)),
            rest => Some(super::layout::text(&rest[..rest.len().min(MAX_NAME_BYTES)])),
        };
        let functions = symbols.into_iter().filter_map(|(at, start)| {
            let name = name(at)?;
            let named = !name.is_empty() && !name.starts_with("__pfx_");
            named.then_some(Function { start, name })
        });
        let mut functions: Vec<Function> = functions.collect();
        functions.sort_by_key(|function| function.start);
        Ok(functions)
    }
}

/// A little-endian number.
fn number(raw: &[u8]) -> u64 {
    raw.iter()
        .rev()
        .fold(0, |n, byte| n << 8 | u64::from(*byte))
}
