// SPDX-License-Identifier: GPL-2.0
//! A bounded reader of BTF, for the kernel and for the host.
//!
//! BTF (`Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`) is a list of variable-length type records, numbered
//! from 1, and a string table. Nothing here allocates, recurses without a limit or trusts a length: a hostile blob
//! gives an [`Error`]. [`Btf::index`] is linear in the blob; every chain of types and every search has a limit.

/// Why a blob is not BTF, or does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Shorter than its header says, or no header at all.
    Truncated,
    /// The magic number is not 0xeB9F in this machine's byte order.
    Magic(u16),
    /// A version other than 1.
    Version(u8),
    /// A section of the header lies outside the blob.
    Section(&'static str),
    /// Type record `.0` has a kind that neither this reader nor the blob's layout section knows.
    Kind(u32, u8),
    /// Type record `.0` reaches behind the type section.
    Record(u32),
    /// A reference to a type that is not there.
    NoType(u32),
    /// A name that does not end inside the string table.
    Name(u32),
    /// Types chained deeper than [`MAX_DEPTH`] or nested deeper than [`MAX_NESTING`].
    Depth(u32),
    /// More members than one search looks at.
    TooManyMembers(u32),
    /// A size that does not fit into 64 bits.
    Overflow,
    /// More types than the format allows (2^20).
    TooMany,
}

/// Result of reading BTF.
pub type Result<T> = core::result::Result<T, Error>;

/// Longest chain of typedefs, qualifiers and array dimensions that is followed.
pub const MAX_DEPTH: usize = 24;
/// Deepest nesting of anonymous members that is searched; the kernel's deepest is 5, its stack is 16 KB.
pub const MAX_NESTING: usize = 10;
/// Members that one search looks at: twenty times the kernel's largest struct.
const MAX_MEMBERS: u32 = 20_000;
/// `BTF_MAX_TYPE`.
const MAX_TYPES: u32 = 0x000f_ffff;
/// Every `STRIDE`th record's place is remembered, so that the index of a kernel's 200,000 types is 12 KB.
const STRIDE: u32 = 64;
/// Length of [`Named::name_start`].
pub const NAME_START: usize = 4;
/// Entries of an [`Index`] that hold the largest legal blob.
pub const INDEX_LEN: usize = (MAX_TYPES / STRIDE) as usize + 2;

/// Bytes that follow the fixed 12 of a record, by `BTF_KIND_*`: (of the record, of each of its `vlen` elements).
#[rustfmt::skip]
const TAIL_BYTES: [(u8, u8); 20] = [
    (0, 0), (4, 0), (0, 0), (12, 0), (0, 12), (0, 12), (0, 8), (0, 0), (0, 0), (0, 0),
    (0, 0), (0, 0), (0, 0), (0, 8), (4, 0), (0, 12), (0, 0), (4, 0), (0, 0), (0, 12),
];

/// The kinds of [`TAIL_BYTES`] with nothing behind the fixed part, one bit each: most records of a kernel, functions
/// and pointers above all.
const NO_TAIL: u32 = {
    let (mut kinds, mut number) = (0, 1);
    while number < TAIL_BYTES.len() {
        if let (0, 0) = TAIL_BYTES[number] {
            kinds |= 1 << number;
        }
        number += 1;
    }
    kinds
};

/// The kinds of types (`BTF_KIND_*`) that this reader looks into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Integer, float, function, variable: nothing to look into.
    Leaf,
    /// Pointer.
    Pointer,
    /// Array.
    Array,
    /// Struct.
    Struct,
    /// Union.
    Union,
    /// Enumeration of 32-bit values.
    Enum,
    /// Enumeration of 64-bit values.
    Enum64,
    /// Typedef.
    Typedef,
    /// `volatile`, `const`, `restrict` or a type tag.
    Qualifier,
}

/// One type record.
#[derive(Debug, Clone, Copy)]
pub struct Type<'a> {
    /// Its number.
    pub id: u32,
    /// Its kind.
    pub kind: Kind,
    name_off: u32,
    kind_flag: bool,
    /// Size in bytes, or the number of the type referred to.
    size_or_type: u32,
    /// What follows the fixed part.
    rest: &'a [u8],
}

/// A struct, union, enumeration or typedef, as [`Btf::index`] comes by it.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// The record's number.
    pub id: u32,
    name_off: u32,
}

/// A member found in a struct or union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Offset from the start of the outermost type, in bits.
    pub offset_bits: u64,
    /// Its type.
    pub type_id: u32,
}

/// A BTF blob whose header was checked.
#[derive(Debug, Clone, Copy)]
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    layout: &'a [u8],
}

/// Where the records lie; made by [`Btf::index`] in memory of the caller's.
#[derive(Debug, Clone, Copy)]
pub struct Index<'a, 'i> {
    btf: Btf<'a>,
    marks: &'i [u32],
    count: u32,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

impl<'a> Btf<'a> {
    /// Checks the header.
    ///
    /// # Errors
    /// What is wrong with it; no type record has been read yet.
    pub fn parse(blob: &'a [u8]) -> Result<Btf<'a>> {
        let magic = u16_at(blob, 0).ok_or(Error::Truncated)?;
        if magic != 0xeb9f {
            return Err(Error::Magic(magic));
        }
        let version = *blob.get(2).ok_or(Error::Truncated)?;
        if version != 1 {
            return Err(Error::Version(version));
        }
        let header_len = u32_at(blob, 4).ok_or(Error::Truncated)? as usize;
        if header_len < 24 {
            return Err(Error::Truncated);
        }
        let body = blob.get(header_len..).ok_or(Error::Truncated)?;
        let section = |at: usize, name| -> Result<&'a [u8]> {
            let start = u32_at(blob, at).ok_or(Error::Truncated)? as usize;
            let len = u32_at(blob, at + 4).ok_or(Error::Truncated)? as usize;
            let end = start.checked_add(len).ok_or(Error::Section(name))?;
            body.get(start..end).ok_or(Error::Section(name))
        };
        Ok(Btf {
            types: section(8, "types")?,
            strings: section(16, "strings")?,
            // Since 7.1; older headers end before it.
            layout: if header_len >= 32 {
                section(24, "layout")?
            } else {
                &[]
            },
        })
    }

    /// The string at `offset`, without its end.
    fn name(&self, offset: u32) -> Result<&'a [u8]> {
        let rest = self
            .strings
            .get(offset as usize..)
            .ok_or(Error::Name(offset))?;
        let end = rest
            .iter()
            .position(|&b| b == 0)
            .ok_or(Error::Name(offset))?;
        Ok(&rest[..end])
    }

    /// True when the string at `offset` is `name`. Reads no further than `name` is long.
    fn is_named(&self, offset: u32, name: &str) -> bool {
        let start = offset as usize;
        let end = start.saturating_add(name.len());
        offset != 0
            && self.strings.get(start..end) == Some(name.as_bytes())
            && self.strings.get(end) == Some(&0)
    }

    /// Bytes that follow the fixed part of the record with this second word, and its kind's number.
    #[inline]
    fn tail_len(&self, id: u32, info: u32) -> Result<(usize, u8)> {
        let number = ((info >> 24) & 0x7f) as u8;
        if number < 32 && NO_TAIL >> number & 1 == 1 {
            return Ok((0, number));
        }
        let (constant, each) = match TAIL_BYTES.get(usize::from(number)) {
            Some(&sizes) if number != 0 => sizes,
            _ => self.unknown_tail(number).ok_or(Error::Kind(id, number))?,
        };
        // At most 2^24 elements of 255 bytes: no overflow in 64 bits.
        Ok((
            usize::from(constant) + (info & 0x00ff_ffff) as usize * usize::from(each),
            number,
        ))
    }

    /// As [`TAIL_BYTES`], for a kind from the future: the blob itself says it.
    #[cold]
    fn unknown_tail(&self, number: u8) -> Option<(u8, u8)> {
        let at = usize::from(number) * 4;
        Some((*self.layout.get(at)?, *self.layout.get(at + 1)?)).filter(|_| number != 0)
    }

    /// Reads the record at the beginning of `all`; returns it and what follows.
    #[inline]
    fn record(&self, id: u32, all: &'a [u8]) -> Result<(Type<'a>, &'a [u8])> {
        let (head, tail) = all.split_first_chunk().ok_or(Error::Record(id))?;
        let head = words(head);
        let (len, number) = self.tail_len(id, head[1])?;
        let (tail, next) = tail.split_at_checked(len).ok_or(Error::Record(id))?;
        Ok((Type::new(id, number, head, tail), next))
    }

    /// Walks all records once, notes every [`STRIDE`]th place in `marks` and shows `visit` each struct, union, enum and
    /// typedef.
    ///
    /// # Errors
    /// The first record that cannot be read; [`Error::TooMany`] when `marks` is shorter than [`INDEX_LEN`] and full.
    // Not inlined, nor is skip(): in a larger function all they count with would lie on the stack, and this walk is what
    // loading the module takes longest for.
    #[inline(never)]
    pub fn index<'i>(
        self,
        marks: &'i mut [u32],
        mut visit: impl FnMut(&Self, Named),
    ) -> Result<Index<'a, 'i>> {
        /// Struct, union, enum, typedef, enum64.
        const SHOWN: u32 = 1 << 4 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 19;
        let (mut count, mut rest) = (0u32, self.types);
        while !rest.is_empty() {
            let mark = marks
                .get_mut((count / STRIDE) as usize)
                .filter(|_| count < MAX_TYPES);
            *mark.ok_or(Error::TooMany)? = (self.types.len() - rest.len()) as u32;
            let end = count + STRIDE;
            loop {
                (count, rest) = skip(count, end, rest);
                if count == end || rest.is_empty() {
                    break;
                }
                let id = count + 1;
                let (head, tail) = rest.split_first_chunk().ok_or(Error::Record(id))?;
                let [name_off, info, _] = words(head);
                let (len, number) = self.tail_len(id, info)?;
                (count, rest) = (id, tail.get(len..).ok_or(Error::Record(id))?);
                if number < 32 && SHOWN >> number & 1 == 1 {
                    visit(&self, Named { id, name_off });
                }
            }
        }
        Ok(Index {
            btf: self,
            marks,
            count,
        })
    }
}

/// Goes on from `count` records, with `rest` behind them, over functions, their prototypes and pointers: four in five of a
/// kernel's records. Ends at another kind, at a record that is not whole, and when `end` records are behind it.
#[inline(never)]
fn skip(mut count: u32, end: u32, mut rest: &[u8]) -> (u32, &[u8]) {
    const KIND: u32 = 0x7f << 24;
    const POINTER: u32 = 2 << 24;
    const FUNCTION: u32 = 12 << 24;
    const PROTOTYPE: u32 = 13 << 24;
    while count != end {
        let Some((head, tail)) = rest.split_first_chunk() else {
            break;
        };
        let info = words(head)[1];
        rest = match info & KIND {
            FUNCTION | POINTER => tail,
            PROTOTYPE => match tail.get((info & 0x00ff_ffff) as usize * 8..) {
                Some(next) => next,
                None => break,
            },
            _ => break,
        };
        // Below `end`; the kernel's build would check the sum.
        count = count.wrapping_add(1);
    }
    (count, rest)
}

impl Named {
    /// True when the type's own name is `name`.
    pub fn is_named(&self, btf: &Btf<'_>, name: &str) -> bool {
        btf.is_named(self.name_off, name)
    }

    /// First bytes of the name, its end and what lies behind it included: a cheap filter before comparing. Zeros when
    /// the string table ends before.
    #[inline]
    pub fn name_start(&self, btf: &Btf<'_>) -> [u8; NAME_START] {
        let name = btf.strings.get(self.name_off as usize..);
        let whole = name.and_then(|name| name.first_chunk().copied());
        whole.unwrap_or_else(|| {
            // At the very end of the table.
            let mut start = [0; NAME_START];
            let name = name.unwrap_or_default();
            start[..name.len()].copy_from_slice(name);
            start
        })
    }
}

impl<'a> Type<'a> {
    /// From the record's fixed words, and what follows them.
    #[inline]
    fn new(id: u32, number: u8, [name_off, info, size_or_type]: [u32; 3], rest: &'a [u8]) -> Self {
        let kind = match number {
            2 => Kind::Pointer,
            3 => Kind::Array,
            4 => Kind::Struct,
            5 => Kind::Union,
            6 => Kind::Enum,
            8 => Kind::Typedef,
            9..=11 | 18 => Kind::Qualifier,
            19 => Kind::Enum64,
            _ => Kind::Leaf,
        };
        Type {
            id,
            kind,
            name_off,
            kind_flag: info >> 31 == 1,
            size_or_type,
            rest,
        }
    }
}

impl<'a> Index<'a, '_> {
    /// How many types there are, `void` not counted.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The type with number `id`.
    ///
    /// # Errors
    /// [`Error::NoType`] for 0 (`void`) and for numbers that are too high.
    pub fn get(&self, id: u32) -> Result<Type<'a>> {
        if id == 0 || id > self.count {
            return Err(Error::NoType(id));
        }
        let mark = self
            .marks
            .get(((id - 1) / STRIDE) as usize)
            .ok_or(Error::NoType(id))?;
        let rest = self.btf.types.get(*mark as usize..);
        let mut rest = rest.ok_or(Error::NoType(id))?;
        let mut count = (id - 1) / STRIDE * STRIDE;
        loop {
            (count, rest) = skip(count, id - 1, rest);
            let (record, next) = self.btf.record(count + 1, rest)?;
            (count, rest) = (count + 1, next);
            if count == id {
                return Ok(record);
            }
        }
    }

    /// The type's own name; empty for an anonymous one.
    ///
    /// # Errors
    /// [`Error::Name`] when it lies outside the string table.
    pub fn name(&self, ty: &Type<'a>) -> Result<&'a [u8]> {
        self.btf.name(ty.name_off)
    }

    /// Follows typedefs and qualifiers to the type behind them.
    ///
    /// # Errors
    /// [`Error::Depth`] for a loop, [`Error::NoType`] when it ends in `void`.
    pub fn resolve(&self, id: u32) -> Result<Type<'a>> {
        let mut ty = self.get(id)?;
        for _ in 0..MAX_DEPTH {
            match ty.kind {
                Kind::Typedef | Kind::Qualifier => ty = self.get(ty.size_or_type)?,
                _ => return Ok(ty),
            }
        }
        Err(Error::Depth(id))
    }

    /// Size of the type in bytes, as `sizeof` has it.
    ///
    /// # Errors
    /// As for [`Self::resolve`]; [`Error::Overflow`] for an absurd array.
    pub fn size(&self, id: u32) -> Result<u64> {
        let mut factor = 1u64;
        let mut ty = self.resolve(id)?;
        for _ in 0..MAX_DEPTH {
            let size = match ty.kind {
                Kind::Array => {
                    let (element, len) = array(&ty)?;
                    factor = factor.checked_mul(len.into()).ok_or(Error::Overflow)?;
                    ty = self.resolve(element)?;
                    continue;
                }
                Kind::Pointer => size_of::<usize>() as u64,
                _ => ty.size_or_type.into(),
            };
            return factor.checked_mul(size).ok_or(Error::Overflow);
        }
        Err(Error::Depth(id))
    }

    /// Number of elements of an array type (of its first dimension); `None` when it is no array.
    ///
    /// # Errors
    /// As for [`Self::resolve`].
    pub fn array_len(&self, id: u32) -> Result<Option<u32>> {
        let ty = self.resolve(id)?;
        Ok(match ty.kind {
            Kind::Array => Some(array(&ty)?.1),
            _ => None,
        })
    }

    /// Finds `name` in a struct or union, also inside its anonymous members. `None` when there is no such member.
    ///
    /// # Errors
    /// As for [`Self::resolve`]; [`Error::Depth`] and [`Error::TooManyMembers`] for an absurd one.
    pub fn member(&self, id: u32, name: &str) -> Result<Option<Member>> {
        let mut budget = MAX_MEMBERS;
        self.member_at(id, name, 0, MAX_NESTING, &mut budget)
    }

    /// One level of [`Self::member`]. The budget is shared by all levels: anonymous members that all refer to the same
    /// next type would otherwise multiply.
    fn member_at(
        &self,
        id: u32,
        name: &str,
        base: u64,
        depth: usize,
        budget: &mut u32,
    ) -> Result<Option<Member>> {
        let ty = self.resolve(id)?;
        if !matches!(ty.kind, Kind::Struct | Kind::Union) {
            return Ok(None);
        }
        let depth = depth.checked_sub(1).ok_or(Error::Depth(id))?;
        for [name_off, type_id, offset] in triples(ty.rest) {
            *budget = budget.checked_sub(1).ok_or(Error::TooManyMembers(id))?;
            // With kind_flag the upper eight bits are a bit field's width.
            let bits = if ty.kind_flag {
                offset & 0x00ff_ffff
            } else {
                offset
            };
            let offset_bits = base.checked_add(bits.into()).ok_or(Error::Overflow)?;
            if self.btf.is_named(name_off, name) {
                return Ok(Some(Member {
                    offset_bits,
                    type_id,
                }));
            }
            if name_off == 0 {
                if let Some(found) = self.member_at(type_id, name, offset_bits, depth, budget)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The value of enumerator `name` in enumeration `id`; `None` when it has none of that name.
    ///
    /// # Errors
    /// As for [`Self::resolve`].
    pub fn enumerator(&self, id: u32, name: &str) -> Result<Option<i64>> {
        let ty = self.resolve(id)?;
        Ok(match ty.kind {
            Kind::Enum => ty.rest.chunks_exact(8).find_map(|raw| {
                let (name_off, value) = (u32_at(raw, 0)?, u32_at(raw, 4)?);
                // Without kind_flag the values are unsigned.
                let value = if ty.kind_flag {
                    i64::from(value as i32)
                } else {
                    i64::from(value)
                };
                self.btf.is_named(name_off, name).then_some(value)
            }),
            Kind::Enum64 => triples(ty.rest).find_map(|[name_off, low, high]| {
                let value = (u64::from(high) << 32 | u64::from(low)) as i64;
                self.btf.is_named(name_off, name).then_some(value)
            }),
            _ => None,
        })
    }
}

/// Element type and number of elements of an array record.
fn array(ty: &Type<'_>) -> Result<(u32, u32)> {
    let element = u32_at(ty.rest, 0).ok_or(Error::Record(ty.id))?;
    let len = u32_at(ty.rest, 8).ok_or(Error::Record(ty.id))?;
    Ok((element, len))
}

/// The three words of a record's fixed part, or of a 12-byte element.
#[inline]
fn words(raw: &[u8; 12]) -> [u32; 3] {
    let word = |i: usize| u32::from_ne_bytes([raw[i], raw[i + 1], raw[i + 2], raw[i + 3]]);
    [word(0), word(4), word(8)]
}

/// The 12-byte elements of a record.
fn triples(rest: &[u8]) -> impl Iterator<Item = [u32; 3]> + '_ {
    rest.chunks_exact(12)
        .filter_map(|raw| Some(words(raw.first_chunk()?)))
}
