// SPDX-License-Identifier: GPL-2.0-or-later
//! Code of the crashed kernel and its modules: which function an address lies in, which unwind entry holds there.

use super::layout::Layout;
use super::modules::{Function, Module};
use super::orc::{Entry, Table};
use std::collections::HashMap;
use std::ops::Range;
use vmcore::{Dump, VirtAddr};

/// The call in ftrace's entry code, of which every trampoline is a copy.
const FTRACE_CALL: &str = "ftrace_regs_call";
const CALL_BYTES: u64 = 5;

/// Lookups in unwind tables: a stack has some ten functions, and a damaged one must not take forever.
const MAX_LOOKUPS: u32 = 200_000;
/// Modules whose tables are read.
const MAX_MODULES: usize = 256;

/// Reads tables of modules when they are first asked for.
pub struct Code<'a> {
    dump: &'a Dump,
    layout: &'a Layout,
    modules: &'a [Module],
    /// The kernel's, and that of its initialisation: freed, but idle tasks still come from there.
    text: [Range<u64>; 2],
    table: Option<Table>,
    of_modules: HashMap<usize, (Option<Table>, Vec<Function>)>,
    /// Lookups in unwind tables that are left.
    budget: u32,
}

/// A function and the distance from its start.
pub struct Place {
    /// Its name.
    pub symbol: String,
    /// In bytes.
    pub offset: u64,
    /// The module that it belongs to.
    pub module: Option<String>,
}

impl<'a> Code<'a> {
    /// Code of a dump with these modules.
    pub fn new(dump: &'a Dump, layout: &'a Layout, modules: &'a [Module]) -> Self {
        let edge = |name| {
            let address = dump.symbols().ok().and_then(|s| s.address(name));
            address.map_or(0, |address| address.0)
        };
        Self {
            dump,
            layout,
            modules,
            text: [
                edge("_stext")..edge("_etext"),
                edge("_sinittext")..edge("_einittext"),
            ],
            table: Table::of_kernel(dump),
            of_modules: HashMap::new(),
            budget: MAX_LOOKUPS,
        }
    }

    /// The function that an address lies in.
    pub fn place(&mut self, address: u64) -> Option<Place> {
        if self.text.iter().any(|text| text.contains(&address)) {
            let (symbol, offset) = self.dump.symbols().ok()?.lookup(VirtAddr(address))?;
            return Some(Place {
                symbol: symbol.name.clone(),
                offset,
                module: None,
            });
        }
        let index = self.module(address)?;
        let functions = &self.of_modules[&index].1;
        let next = functions.partition_point(|function| function.start <= address);
        let function = &functions[next.checked_sub(1)?];
        Some(Place {
            symbol: function.name.clone(),
            offset: address - function.start,
            module: Some(self.modules[index].name.clone()),
        })
    }

    /// Distance of an address from the start of its function.
    pub(super) fn offset(&mut self, address: u64) -> Option<u64> {
        Some(self.place(address)?.offset)
    }

    /// How to leave the function that the instruction at `address` belongs to.
    pub(super) fn orc(&mut self, address: u64) -> Option<Entry> {
        self.budget = self.budget.checked_sub(1)?;
        let table = if self.text.iter().any(|text| text.contains(&address)) {
            self.table?
        } else {
            let index = self.module(address)?;
            self.of_modules[&index].0?
        };
        table.find(self.dump, address)
    }

    /// How to leave a copy of ftrace's entry code, from the call to its handlers.
    pub(super) fn trampoline(&self) -> Option<Entry> {
        let call = self.dump.symbols().ok()?.address(FTRACE_CALL)?;
        self.table?.find(self.dump, call.0 + CALL_BYTES - 1)
    }

    /// Index of the module that an address lies in, with its tables read.
    fn module(&mut self, address: u64) -> Option<usize> {
        let index = self.modules.iter().position(|m| m.contains(address))?;
        if self.of_modules.len() == MAX_MODULES && !self.of_modules.contains_key(&index) {
            return None;
        }
        let (dump, layout, module) = (self.dump, self.layout, &self.modules[index]);
        self.of_modules.entry(index).or_insert_with(|| {
            let functions = module.functions(dump, layout).unwrap_or_default();
            (module.orc(dump, layout), functions)
        });
        Some(index)
    }
}
