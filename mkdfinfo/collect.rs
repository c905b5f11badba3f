// SPDX-License-Identifier: GPL-2.0
//! Asks every source for every key, and lets the sources agree.

use super::btf::{self, Btf, Index};
use super::kallsyms::{self, Found, Tables};
use super::keys::KEYS;
use super::keys::{How, Key, Kind, Scope};
use super::note;

/// Who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// What the module was compiled with: the kernel headers.
    Build,
    /// The kernel's own VMCOREINFO note.
    Note,
    /// The kernel's BTF.
    Btf,
    /// The kernel's symbol tables.
    Kallsyms,
    /// DWARF and the symbol table of a vmlinux with debugging information.
    Vmlinux,
}

impl Source {
    /// All, in the order in which they are named in messages.
    pub const ALL: [Source; 5] = [
        Source::Build,
        Source::Note,
        Source::Btf,
        Source::Kallsyms,
        Source::Vmlinux,
    ];

    /// Its name in messages and in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Source::Build => "build",
            Source::Note => "note",
            Source::Btf => "BTF",
            Source::Kallsyms => "kallsyms",
            Source::Vmlinux => "vmlinux",
        }
    }
}

/// What the sources say about one key. Addresses are link-time ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Value {
    said: [Option<i64>; Source::ALL.len()],
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No source knows the key: it does not exist in this kernel.
    Absent,
    /// All sources that know it say the same.
    Agreed(i64),
    /// Two sources differ; the key is withheld.
    Conflict((Source, i64), (Source, i64)),
}

impl Value {
    /// Records what `source` says.
    pub fn say(&mut self, source: Source, value: Option<i64>) {
        if value.is_some() {
            self.said[source as usize] = value;
        }
    }

    /// What `source` said.
    pub fn said(&self, source: Source) -> Option<i64> {
        self.said[source as usize]
    }

    /// The sources that know the key, with what they say.
    pub fn sources(&self) -> impl Iterator<Item = (Source, i64)> + '_ {
        Source::ALL
            .into_iter()
            .filter_map(|source| Some((source, self.said(source)?)))
    }

    /// Lets the sources agree.
    pub fn outcome(&self) -> Outcome {
        let Some(first) = self.sources().next() else {
            return Outcome::Absent;
        };
        match self.sources().find(|other| other.1 != first.1) {
            Some(other) => Outcome::Conflict(first, other),
            None => Outcome::Agreed(first.1),
        }
    }

    /// The value that all sources agree on.
    pub fn agreed(&self) -> Option<i64> {
        match self.outcome() {
            Outcome::Agreed(value) => Some(value),
            _ => None,
        }
    }
}

/// x86_64: `__START_KERNEL_map`. Addresses above it belong to the kernel's image and move with `KERNELOFFSET`.
pub const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// Answers from the note's text, in one pass. The first of several lines counts, as for makedumpfile. Symbols of the
/// kernel's image are brought back to link time.
pub fn say_note(values: &mut [Value], text: &[u8], kernel_offset: u64) {
    for (word, name, right) in note::lines(text) {
        let keys = KEYS.iter().zip(values.iter_mut());
        for (key, value) in keys {
            let asked = key.note.is_some_and(|note| note.as_bytes() == name);
            if asked && key.kind.word().as_bytes() == word && value.said(Source::Note).is_none() {
                value.say(Source::Note, noted(key, right, kernel_offset));
            }
        }
    }
}

/// What the right side of a key's line means.
fn noted(key: &Key, right: &str, kernel_offset: u64) -> Option<i64> {
    match key.kind {
        Kind::Symbol => {
            let address = note::hex(right)?;
            let moved = key.scope == Scope::Build && address >= KERNEL_MAP;
            Some(if moved {
                address.wrapping_sub(kernel_offset)
            } else {
                address
            } as i64)
        }
        _ => note::number(right),
    }
}

/// Names of the symbols that the keys need, sorted for [`Tables::find`]. Extra names go in through `more`.
///
/// Returns how many there are; `None` when `names` is too short.
pub fn symbol_names(names: &mut [&'static str], more: &[&'static str]) -> Option<usize> {
    let mut len = 0;
    let wanted = KEYS.iter().filter_map(|key| match key.how {
        How::Address(symbol) | How::Element(symbol, ..) => Some(symbol),
        _ => None,
    });
    for name in wanted.chain(more.iter().copied()) {
        if let Err(place) = names[..len].binary_search(&name) {
            names.get_mut(place..=len)?.rotate_right(1);
            names[place] = name;
            len += 1;
        }
    }
    Some(len)
}

/// Answers the address keys from symbols that were looked up under sorted `names`; `kernel_offset` is subtracted.
/// [`How::Element`] keys need [`say_btf`] to have run: index and element size come from there.
pub fn say_symbols(
    values: &mut [Value],
    source: Source,
    names: &[&str],
    found: &[Found],
    kernel_offset: u64,
) {
    let address = |name: &str| {
        let found = found.get(names.binary_search(&name).ok()?)?;
        Some(found.unique()?.wrapping_sub(kernel_offset) as i64)
    };
    for i in 0..KEYS.len().min(values.len()) {
        let said = match KEYS[i].how {
            How::Address(symbol) => address(symbol),
            How::Element(symbol, (_, index), ty) => {
                let agreed = |kind, name| values[position(kind, name)?].agreed();
                address(symbol).and_then(|base| {
                    let step = agreed(Kind::Number, index)?.checked_mul(agreed(Kind::Size, ty)?)?;
                    base.checked_add(step)
                })
            }
            _ => None,
        };
        values[i].say(source, said);
    }
}

/// Place of a key in [`KEYS`].
pub fn position(kind: Kind, name: &str) -> Option<usize> {
    KEYS.iter()
        .position(|key| key.kind == kind && key.name == name)
}

/// How many types of one name are looked at. (BTF has several when C files define a name of their own.)
const SAME_NAME: usize = 4;
/// More than the distinct types of [`KEYS`]; one bit each in [`Types::filter`].
const MAX_TYPES: usize = 64;

/// The types that the keys are about, and where they are in a BTF blob. 3 KB: too much to be kept on a kernel stack.
#[derive(Debug, Clone)]
pub struct Types {
    names: [&'static str; MAX_TYPES],
    ids: [[u32; SAME_NAME]; MAX_TYPES],
    counts: [u8; MAX_TYPES],
    len: usize,
    /// `filter[i][b % 32]`: the names (bit n: `names[n]`) that can have byte b in place i. Nearly all of 50,000 types
    /// that BTF names drop out at four such looks, where comparing each with each name takes longer than all the rest.
    filter: [[u64; 32]; btf::NAME_START],
}

impl Default for Types {
    fn default() -> Types {
        let mut types = Types {
            names: [""; MAX_TYPES],
            ids: [[0; SAME_NAME]; MAX_TYPES],
            counts: [0; MAX_TYPES],
            len: 0,
            filter: [[0; 32]; btf::NAME_START],
        };
        for name in KEYS.iter().filter_map(|key| key.how.type_name()) {
            if !types.names[..types.len].contains(&name) && types.len < MAX_TYPES {
                types.add(name);
            }
        }
        types
    }
}

impl Types {
    fn add(&mut self, name: &'static str) {
        let bit = 1 << self.len;
        for (place, row) in self.filter.iter_mut().enumerate() {
            match name.as_bytes().get(place) {
                Some(byte) => row[usize::from(byte % 32)] |= bit,
                // The zero byte at the name's end; anything behind it.
                None if place == name.len() => row[0] |= bit,
                None => row.iter_mut().for_each(|names| *names |= bit),
            }
        }
        self.names[self.len] = name;
        self.len += 1;
    }

    /// Looks at one record of the blob.
    fn visit(&mut self, btf: &Btf<'_>, ty: btf::Named) {
        let start = ty.name_start(btf);
        let rows = self.filter.iter().zip(start);
        let mut fit = rows.fold(u64::MAX, |fit, (row, byte)| {
            fit & row[usize::from(byte % 32)]
        });
        while fit != 0 {
            let i = fit.trailing_zeros() as usize;
            fit &= fit - 1;
            if ty.is_named(btf, self.names[i]) {
                if let Some(id) = self.ids[i].get_mut(usize::from(self.counts[i])) {
                    *id = ty.id;
                }
                self.counts[i] = self.counts[i].saturating_add(1);
            }
        }
    }

    /// The types of this name; none when there are too many to tell.
    fn of(&self, name: &str) -> &[u32] {
        match self.names[..self.len]
            .iter()
            .position(|other| *other == name)
        {
            Some(i) => self.ids[i].get(..self.counts[i].into()).unwrap_or_default(),
            None => &[],
        }
    }
}

/// Answers the layout keys from BTF. `marks` is memory for the index, [`btf::INDEX_LEN`] words. A name with several
/// types that give different answers gives none.
///
/// # Errors
/// When the blob is no BTF; a single type that makes no sense only costs its keys.
pub fn say_btf(
    values: &mut [Value],
    blob: &[u8],
    marks: &mut [u32],
    types: &mut Types,
) -> btf::Result<()> {
    let index = Btf::parse(blob)?.index(marks, |btf, ty| types.visit(btf, ty))?;
    for (key, value) in KEYS.iter().zip(values) {
        let Some(name) = key.how.type_name() else {
            continue;
        };
        let mut answers = types
            .of(name)
            .iter()
            .filter_map(|&id| layout(&index, id, key.how));
        let first = answers.next();
        value.say(
            Source::Btf,
            first.filter(|first| answers.all(|other| other == *first)),
        );
    }
    Ok(())
}

/// What a type says about a key; `None` when it has no such member, enumerator or size.
fn layout(index: &Index<'_, '_>, id: u32, how: How) -> Option<i64> {
    let member = |name| index.member(id, name).ok()?;
    let enumerator = |name| index.enumerator(id, name).ok()?;
    match how {
        How::Size(_) => i64::try_from(index.size(id).ok()?).ok(),
        How::Offset(_, name) => {
            let bits = member(name)?.offset_bits;
            (bits % 8 == 0).then_some((bits / 8) as i64)
        }
        How::ArrayLen(_, name) => index.array_len(member(name)?.type_id).ok()?.map(i64::from),
        How::MemberSize(_, name) => i64::try_from(index.size(member(name)?.type_id).ok()?).ok(),
        How::Enumerator(_, name) => enumerator(name),
        How::Mask(_, name) => mask(enumerator(name)?),
        How::PageType(_, name) => Some(page_type(enumerator(name)?)),
        How::Address(_) | How::Element(..) | How::VariableLen(_) | How::Note => None,
    }
}

/// `1 << bit`.
pub fn mask(bit: i64) -> Option<i64> {
    u32::try_from(bit)
        .ok()
        .and_then(|bit| 1i64.checked_shl(bit))
}

/// A page type as `page->page_type` holds it: in the upper eight bits of an `int`.
pub fn page_type(enumerator: i64) -> i64 {
    i64::from((enumerator as i32) << 24)
}

/// Answers the address keys from the kernel's symbol tables.
///
/// # Errors
/// When the tables contradict themselves.
pub fn say_kallsyms(
    values: &mut [Value],
    tables: &Tables<'_>,
    names: &[&str],
    found: &mut [Found],
    kernel_offset: u64,
) -> Result<(), kallsyms::Error> {
    tables.find(names, found)?;
    say_symbols(values, Source::Kallsyms, names, found, kernel_offset);
    Ok(())
}
