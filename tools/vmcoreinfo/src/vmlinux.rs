// SPDX-License-Identifier: GPL-2.0-or-later
//! A kernel file with debugging information (DWARF) and a symbol table: what `makedumpfile -g -x` reads.
//!
//! Only the outermost entries of each compilation unit are looked at, and of those the types that a key is about.

use crate::facts::{Facts, FactsError, Source};
use gimli::{
    AttributeValue, DebuggingInformationEntry as Entry, EndianSlice, LittleEndian, UnitOffset,
    UnitRef,
};
use modlogic::mkdfinfo::collect::{mask, page_type};
use modlogic::mkdfinfo::keys::{How, KEYS};
use object::{Object, ObjectSection, ObjectSymbol};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Unit<'a> = UnitRef<'a, Slice<'a>>;
type Gimli<T> = Result<T, gimli::Error>;

/// Longest chain of typedefs and qualifiers, and deepest nesting of anonymous members.
const MAX_DEPTH: usize = 16;

/// Reads the file.
///
/// # Errors
/// [`FactsError::Vmlinux`] in words; a single type that makes no sense only costs its keys.
pub fn read(path: &Path) -> Result<Facts, FactsError> {
    let bad = |what: &str, e: &dyn std::fmt::Display| {
        FactsError::Vmlinux(format!("{what} {}: {e}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(|e| bad("opening", &e))?;
    // SAFETY: a private mapping that is only read. Someone who truncates the file meanwhile gets this process a SIGBUS,
    // as with every tool that maps its input; reading 400 MB into memory instead is what this avoids.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| bad("mapping", &e))?;
    parse(&map).map_err(|e| bad("reading", &e))
}

/// Reads the bytes of such a file.
///
/// # Errors
/// In words.
pub fn parse(bytes: &[u8]) -> Result<Facts, String> {
    let elf = object::File::parse(bytes).map_err(|e| e.to_string())?;
    let build_id = elf
        .build_id()
        .map_err(|e| e.to_string())?
        .unwrap_or_default();
    let build_id: String = build_id.iter().map(|b| format!("{b:02x}")).collect();
    // x86_64 has no other size.
    let mut facts = Facts::new(release(&elf)?, build_id, 4096);
    let sections = gimli::DwarfSections::load(|id| section(&elf, id.name()))?;
    let dwarf = sections.borrow(|data| EndianSlice::new(data, LittleEndian));
    let mut answers = vec![BTreeSet::new(); KEYS.len()];
    if section(&elf, ".debug_info")?.is_empty() {
        return Err("it has no debugging information (.debug_info): take the one of the kernel's debug package, \
                    or use --from btf on the running kernel"
            .into());
    }
    scan(&dwarf, &mut answers).map_err(|e| format!(".debug_info: {e}"))?;
    for (i, answers) in answers.iter().enumerate() {
        // Several types of one name with different answers give none.
        let one = answers.first().filter(|_| answers.len() == 1);
        facts.say(i, Source::Vmlinux, one.copied());
    }
    let symbols = elf.symbols().filter(|symbol| !symbol.is_undefined());
    facts.add_symbols(
        Source::Vmlinux,
        symbols.filter_map(|symbol| Some((symbol.name_bytes().ok()?, symbol.address()))),
    );
    Ok(facts)
}

/// Contents of a section; empty when it is not there.
fn section<'a>(elf: &object::File<'a>, name: &str) -> Result<&'a [u8], String> {
    match elf.section_by_name(name) {
        Some(section)
            if section
                .compressed_file_range()
                .is_ok_and(|range| range.format != object::CompressionFormat::None) =>
        {
            Err(format!(
                "{name} is compressed: unpack it with `objcopy --decompress-debug-sections`"
            ))
        }
        Some(section) => section.data().map_err(|e| format!("{name}: {e}")),
        None => Ok(&[]),
    }
}

/// `uname -r` out of `linux_banner`: "Linux version 7.3.4+deb13-amd64 (…".
fn release(elf: &object::File<'_>) -> Result<String, String> {
    let banner = elf
        .symbol_by_name("linux_banner")
        .ok_or("it has no symbol linux_banner: is it a kernel?")?;
    let data = elf
        .sections()
        .find_map(|section| section.data_range(banner.address(), 200).ok().flatten())
        .ok_or("linux_banner is in no section")?;
    let text = String::from_utf8_lossy(data);
    let word = text
        .strip_prefix("Linux version ")
        .and_then(|rest| rest.split(' ').next());
    word.map(Into::into)
        .ok_or_else(|| "linux_banner does not say \"Linux version\"".into())
}

/// Visits the outermost entries of all units.
fn scan(dwarf: &gimli::Dwarf<Slice<'_>>, answers: &mut [BTreeSet<i64>]) -> Gimli<()> {
    let mut wanted: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (i, key) in KEYS.iter().enumerate() {
        if let Some(ty) = subject(key.how) {
            wanted.entry(ty.as_bytes()).or_default().push(i);
        }
    }
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let unit = unit.unit_ref(dwarf);
        let mut entries = unit.entries();
        // The unit's own entry, then its first child; from there along the siblings.
        if entries.next_dfs()?.is_none() || entries.next_dfs()?.is_none() {
            continue;
        }
        while let Some(entry) = entries.current() {
            if is_wanted(entry.tag()) {
                let name = declared_name(&unit, entry);
                for &i in name
                    .and_then(|name| wanted.get(name.slice()))
                    .into_iter()
                    .flatten()
                {
                    answers[i].extend(answer(&unit, entry, KEYS[i].how));
                }
            }
            if entries.next_sibling()?.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// The type or variable that a key is about.
fn subject(how: How) -> Option<&'static str> {
    match how {
        How::VariableLen(name) => Some(name),
        how => how.type_name(),
    }
}

fn is_wanted(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_variable
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_enumeration_type
            | gimli::DW_TAG_typedef
    )
}

fn text<'a>(
    unit: &Unit<'a>,
    entry: &Entry<'_, '_, Slice<'a>>,
    at: gimli::DwAt,
) -> Option<Slice<'a>> {
    unit.attr_string(entry.attr_value(at).ok()??).ok()
}

/// The name; a definition apart from its declaration has it there.
fn declared_name<'a>(unit: &Unit<'a>, entry: &Entry<'_, '_, Slice<'a>>) -> Option<Slice<'a>> {
    let own = text(unit, entry, gimli::DW_AT_name);
    own.or_else(|| {
        let declaration = unit_ref(entry, gimli::DW_AT_specification)?;
        text(unit, &unit.entry(declaration).ok()?, gimli::DW_AT_name)
    })
}

/// What the entry says about a key; `None` for a declaration without contents, and for what makes no sense.
fn answer(unit: &Unit<'_>, entry: &Entry<'_, '_, Slice<'_>>, how: How) -> Option<i64> {
    let at = entry.offset();
    let is_variable = entry.tag() == gimli::DW_TAG_variable;
    if is_variable != matches!(how, How::VariableLen(_)) {
        return None;
    }
    match how {
        How::Size(_) => size(unit, at),
        How::Offset(_, name) => Some(member(unit, at, name, MAX_DEPTH)?.0),
        How::ArrayLen(_, name) => array_len(unit, member(unit, at, name, MAX_DEPTH)?.1),
        // An `extern` declaration has an array without a length.
        How::VariableLen(_) => array_len(unit, type_ref(entry)?).filter(|&len| len > 0),
        How::MemberSize(_, name) => size(unit, member(unit, at, name, MAX_DEPTH)?.1),
        How::Enumerator(_, name) => enumerator(unit, at, name),
        How::Mask(_, name) => mask(enumerator(unit, at, name)?),
        How::PageType(_, name) => Some(page_type(enumerator(unit, at, name)?)),
        How::Address(_) | How::Element(..) | How::Note => None,
    }
}

fn number(entry: &Entry<'_, '_, Slice<'_>>, at: gimli::DwAt) -> Option<i64> {
    let value = entry.attr_value(at).ok()??;
    value
        .sdata_value()
        .or_else(|| i64::try_from(value.udata_value()?).ok())
}

fn type_ref(entry: &Entry<'_, '_, Slice<'_>>) -> Option<UnitOffset> {
    unit_ref(entry, gimli::DW_AT_type)
}

fn unit_ref(entry: &Entry<'_, '_, Slice<'_>>, at: gimli::DwAt) -> Option<UnitOffset> {
    match entry.attr_value(at).ok()?? {
        AttributeValue::UnitRef(offset) => Some(offset),
        _ => None,
    }
}

/// Follows typedefs and qualifiers.
fn resolve(unit: &Unit<'_>, mut at: UnitOffset) -> Option<UnitOffset> {
    for _ in 0..MAX_DEPTH {
        let entry = unit.entry(at).ok()?;
        match entry.tag() {
            gimli::DW_TAG_typedef
            | gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_restrict_type
            | gimli::DW_TAG_atomic_type => at = type_ref(&entry)?,
            _ => return Some(at),
        }
    }
    None
}

fn size(unit: &Unit<'_>, at: UnitOffset) -> Option<i64> {
    let mut at = resolve(unit, at)?;
    let mut factor = 1i64;
    for _ in 0..MAX_DEPTH {
        let entry = unit.entry(at).ok()?;
        if entry.tag() != gimli::DW_TAG_array_type {
            return number(&entry, gimli::DW_AT_byte_size)?.checked_mul(factor);
        }
        factor = factor.checked_mul(elements(unit, at)?)?;
        at = resolve(unit, type_ref(&entry)?)?;
    }
    None
}

/// Number of elements of an array type, over all dimensions.
fn elements(unit: &Unit<'_>, at: UnitOffset) -> Option<i64> {
    let mut product = 1i64;
    // Without a subrange, or with one that has no bound, the length is not known: 0.
    for_children(unit, at, |child| {
        if child.tag() == gimli::DW_TAG_subrange_type {
            let len = number(child, gimli::DW_AT_count)
                .or_else(|| number(child, gimli::DW_AT_upper_bound)?.checked_add(1));
            product = len.and_then(|len| product.checked_mul(len)).unwrap_or(0);
        }
        true
    })?;
    Some(product)
}

fn array_len(unit: &Unit<'_>, at: UnitOffset) -> Option<i64> {
    let at = resolve(unit, at)?;
    (unit.entry(at).ok()?.tag() == gimli::DW_TAG_array_type).then(|| elements(unit, at))?
}

/// Shows `visit` the children of an entry until it returns false; `None` when they are unreadable.
fn for_children<'a>(
    unit: &Unit<'a>,
    at: UnitOffset,
    mut visit: impl FnMut(&Entry<'_, '_, Slice<'a>>) -> bool,
) -> Option<()> {
    let mut tree = unit.entries_tree(Some(at)).ok()?;
    let mut children = tree.root().ok()?.children();
    while let Some(child) = children.next().ok()? {
        if !visit(child.entry()) {
            break;
        }
    }
    Some(())
}

/// Offset in bytes and type of a member, also of one inside anonymous members.
fn member(unit: &Unit<'_>, at: UnitOffset, name: &str, depth: usize) -> Option<(i64, UnitOffset)> {
    let depth = depth.checked_sub(1)?;
    let at = resolve(unit, at)?;
    let mut found = None;
    for_children(unit, at, |child| {
        if child.tag() != gimli::DW_TAG_member {
            return true;
        }
        // Members of a union have no place of their own.
        let offset = number(child, gimli::DW_AT_data_member_location).unwrap_or(0);
        match (text(unit, child, gimli::DW_AT_name), type_ref(child)) {
            (Some(own), Some(ty)) if own.slice() == name.as_bytes() => found = Some((offset, ty)),
            (None, Some(ty)) => {
                found = member(unit, ty, name, depth).map(|(inner, ty)| (offset + inner, ty))
            }
            _ => {}
        }
        found.is_none()
    })?;
    found
}

fn enumerator(unit: &Unit<'_>, at: UnitOffset, name: &str) -> Option<i64> {
    let at = resolve(unit, at)?;
    let mut found = None;
    for_children(unit, at, |child| {
        if text(unit, child, gimli::DW_AT_name).is_some_and(|own| own.slice() == name.as_bytes()) {
            found = number(child, gimli::DW_AT_const_value);
        }
        found.is_none()
    })?;
    found
}
