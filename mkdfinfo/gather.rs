// SPDX-License-Identifier: GPL-2.0

//! Asks the running kernel: its headers (at build time), its note, its symbol tables, its BTF.

use crate::collect::{self, Outcome, Source, Types, Value};
use crate::kallsyms::{ByName, Found, Tables, MARKED};
use crate::keys::KEYS;
use crate::{btf, note};
use kdump::{image, layout};
use kernel::prelude::*;

/// Room for the names of all symbols that are looked up.
const MAX_SYMBOLS: usize = 64;

/// What there is to publish.
pub(crate) struct Facts {
    /// The kernel's note, ELF header included.
    note: KVec<u8>,
    /// One for each of [`KEYS`].
    pub(crate) values: KVec<Value>,
    /// KASLR's distance from link-time to run-time addresses.
    pub(crate) kernel_offset: u64,
    /// Keys withheld because sources differ.
    pub(crate) conflicts: usize,
    /// Run-time address of the variable `kptr_restrict`.
    pub(crate) kptr_restrict: Option<u64>,
}

impl Facts {
    /// A line of the note that is no `WORD(name)`; empty when it is not there.
    pub(crate) fn plain(&self, name: &str) -> &str {
        self.text()
            .and_then(|text| note::value(text, "", name))
            .unwrap_or("")
    }

    fn text(&self) -> Option<&[u8]> {
        note::contents(&self.note)
    }

    /// How many keys have a value.
    pub(crate) fn published(&self) -> usize {
        self.values
            .iter()
            .filter(|value| value.agreed().is_some())
            .count()
    }
}

/// Collects the facts.
///
/// # Errors
///
/// `EINVAL`: the kernel's note is unreadable. `ENOEXEC`: the kernel has another layout than the headers that this module
/// was built with. `ENOMEM`.
pub(crate) fn gather() -> Result<Facts> {
    let mut facts = Facts {
        note: image::vmcoreinfo_note()?,
        values: KVec::from_elem(Value::default(), KEYS.len(), GFP_KERNEL)?,
        kernel_offset: 0,
        conflicts: 0,
        kptr_restrict: None,
    };
    let Some(offset) = note::hex(facts.plain("KERNELOFFSET")) else {
        pr_err!("the kernel's VMCOREINFO note is unreadable or has no KERNELOFFSET: not an x86_64 kernel with kdump?\n");
        return Err(EINVAL);
    };
    facts.kernel_offset = offset;
    ask_headers_and_note(&mut facts);
    if let Err(e) = ask_image(&mut facts) {
        pr_warn!(
            "symbol tables or BTF unreadable ({:?}): only the note and the headers are used\n",
            e
        );
    }
    check_layout(&facts)?;
    facts.conflicts = report_conflicts(&facts.values);
    Ok(facts)
}

fn ask_headers_and_note(facts: &mut Facts) {
    let text = note::contents(&facts.note).unwrap_or_default();
    for (key, value) in KEYS.iter().zip(&mut facts.values) {
        value.say(Source::Build, layout::value(key.kind.word(), key.name));
    }
    collect::say_note(&mut facts.values, text, facts.kernel_offset);
}

/// Asks kallsyms, and BTF, which kallsyms leads to.
fn ask_image(facts: &mut Facts) -> Result {
    let mut names = KVec::from_elem("", MAX_SYMBOLS, GFP_KERNEL)?;
    let count = collect::symbol_names(&mut names, &["kptr_restrict"]).ok_or(E2BIG)?;
    let names = &names[..count];
    let mut found = KVec::from_elem(Found::default(), count, GFP_KERNEL)?;
    let tables = symbol_tables(facts)?;
    let searched = by_name(&tables).and_then(|by_name| {
        let searched = tables.search(&by_name, names, &mut found);
        searched.map_err(|_| EINVAL)
    });
    if searched.is_err() || found.iter().all(|found| found.count == 0) {
        // No list by name where this kernel should have it: read all names instead.
        found.fill(Found::default());
        tables.find(names, &mut found).map_err(|e| {
            pr_warn!("kallsyms: {:?}\n", e);
            EINVAL
        })?;
    }
    let address = |name: &str| found[names.binary_search(&name).ok()?].unique();
    facts.kptr_restrict = address("kptr_restrict");
    if let (Some(start), Some(stop)) = (address("__start_BTF"), address("__stop_BTF")) {
        ask_btf(&mut facts.values, start, stop)?;
    }
    collect::say_symbols(
        &mut facts.values,
        Source::Kallsyms,
        names,
        &found,
        facts.kernel_offset,
    );
    Ok(())
}

/// The kernel's symbol tables, found through its note. They lie in the order names, markers, token table, token index,
/// offsets, so each one's successor bounds it.
fn symbol_tables(facts: &Facts) -> Result<Tables<'static>> {
    let text = facts.text().ok_or(EINVAL)?;
    let at = |name: &str| {
        note::value(text, "SYMBOL", name)
            .and_then(note::hex)
            .ok_or(ENOENT)
    };
    let (names, index, offsets) = (
        at("kallsyms_names")?,
        at("kallsyms_token_index")?,
        at("kallsyms_offsets")?,
    );
    let tokens = at("kallsyms_token_table")?;
    if note::value(text, "SYMBOL", "kallsyms_relative_base").is_some() {
        pr_warn!("kallsyms: the tables of before 6.19, with kallsyms_relative_base\n");
        return Err(EINVAL);
    }
    let num_syms = image::read_i32(at("kallsyms_num_syms")?)? as u32;
    let table = |start: u64, end: u64| {
        image::constant(start, end.checked_sub(start).ok_or(EFAULT)? as usize)
    };
    Ok(Tables {
        num_syms,
        names: table(names, tokens)?,
        token_table: table(tokens, index)?,
        token_index: table(index, index + 512)?,
        offsets: table(offsets, offsets + 4 * u64::from(num_syms))?,
        offsets_address: offsets,
    })
}

/// The tables that the note does not name. `scripts/kallsyms.c` puts the markers between names and tokens, and the list
/// by name behind the offsets, each at a multiple of 8 bytes.
fn by_name(tables: &Tables<'_>) -> Result<ByName<'static>> {
    let marked = u64::from(tables.num_syms.div_ceil(MARKED)) * 4;
    let tokens = tables.token_table.as_ptr() as u64;
    let offsets = u64::from(tables.num_syms) * 4;
    let markers = tokens
        .checked_sub(marked.next_multiple_of(8))
        .ok_or(EFAULT)?;
    let seqs = tables.offsets_address + offsets.next_multiple_of(8);
    Ok(ByName {
        markers: image::constant(markers, marked as usize)?,
        seqs: image::constant(seqs, tables.num_syms as usize * 3)?,
    })
}

fn ask_btf(values: &mut [Value], start: u64, stop: u64) -> Result {
    let blob = image::constant(start, stop.checked_sub(start).ok_or(EFAULT)? as usize)?;
    let mut marks = KVVec::from_elem(0u32, btf::INDEX_LEN, GFP_KERNEL)?;
    let mut types = KBox::new(Types::default(), GFP_KERNEL)?;
    collect::say_btf(values, blob, &mut marks, &mut types).map_err(|e| {
        pr_warn!("BTF: {:?}\n", e);
        EINVAL
    })
}

/// Refuses a kernel whose BTF contradicts the headers: every other value would be in doubt too.
fn check_layout(facts: &Facts) -> Result {
    for (key, value) in KEYS.iter().zip(&facts.values) {
        if let (Some(built), Some(btf)) = (value.said(Source::Build), value.said(Source::Btf)) {
            if built != btf {
                pr_err!(
                    "refused: {}({}) is {} in this kernel's BTF, {} in the headers this module was built with: build it \
                     for this kernel ({})\n",
                    key.kind.word(),
                    key.name,
                    btf,
                    built,
                    facts.plain("OSRELEASE")
                );
                return Err(ENOEXEC);
            }
        }
    }
    Ok(())
}

fn report_conflicts(values: &[Value]) -> usize {
    let mut count = 0;
    for (key, value) in KEYS.iter().zip(values) {
        if let Outcome::Conflict(one, other) = value.outcome() {
            count += 1;
            pr_warn!(
                "{}({}) withheld: {} says {:#x}, {} says {:#x}\n",
                key.kind.word(),
                key.name,
                one.0.name(),
                one.1,
                other.0.name(),
                other.1
            );
        }
    }
    count
}
