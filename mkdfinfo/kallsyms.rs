// SPDX-License-Identifier: GPL-2.0
//! A bounded reader of the kernel's own symbol tables (`kallsyms_*`), for the kernel, its dumps and its image.
//!
//! Written by `scripts/kallsyms.c`, read by `kernel/kallsyms.c` of the kernel: each name is a length and that many
//! token numbers; the first character of the expanded name is the type letter of `nm`. Addresses are 32-bit offsets
//! relative to their own place in the table. (Older kernels have `kallsyms_relative_base` instead, and say so in
//! their VMCOREINFO: whoever fills [`Tables`] looks there first.)

use core::cmp::Ordering;
use core::ops::Range;

/// Every so many names have their place in `kallsyms_markers`.
pub const MARKED: u32 = 256;

/// Longest name, `KSYM_NAME_LEN`.
pub const MAX_NAME: usize = 512;

/// Why the tables cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// A table is shorter than the number of symbols demands.
    Short(&'static str),
    /// No symbols at all.
    Empty,
    /// Name number `.0` reaches behind its table.
    Name(u32),
    /// Token `.0` lies outside the token table.
    Token(u8),
    /// The expanded name number `.0` is longer than [`MAX_NAME`] or has no type letter.
    NameLength(u32),
}

/// The tables, as bytes. Each slice may be longer than the table is.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    /// `*kallsyms_num_syms`.
    pub num_syms: u32,
    /// `kallsyms_names`.
    pub names: &'a [u8],
    /// `kallsyms_token_table`.
    pub token_table: &'a [u8],
    /// `kallsyms_token_index`: 256 little-endian `u16`.
    pub token_index: &'a [u8],
    /// `kallsyms_offsets`: little-endian `i32`.
    pub offsets: &'a [u8],
    /// Address of `kallsyms_offsets`, which the offsets are relative to.
    pub offsets_address: u64,
}

/// The tables that `kallsyms_lookup_name()` searches by: not in the note, and so not in every [`Tables`]' hands.
#[derive(Debug, Clone, Copy)]
pub struct ByName<'a> {
    /// `kallsyms_markers`: where every [`MARKED`]th name starts, as little-endian `u32`.
    pub markers: &'a [u8],
    /// `kallsyms_seqs_of_names`: the symbols' numbers sorted by name, three bytes each, the highest first.
    pub seqs: &'a [u8],
}

/// One symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Type letter as in `nm`: `T`, `d`, …
    pub letter: u8,
    /// Its name.
    pub name: &'a [u8],
    /// Its address.
    pub address: u64,
}

/// What [`Tables::find`] found for one name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// How many symbols have the name; only one of them is an answer. ([`Tables::search`] does not count beyond 2.)
    pub count: u32,
    /// Address of the last one.
    pub address: u64,
}

impl Found {
    /// The address, when the name is unique.
    pub fn unique(&self) -> Option<u64> {
        (self.count == 1).then_some(self.address)
    }
}

/// Different texts that the first token of a wanted name can leave behind its type letter; more only cost time.
const ROWS: usize = 24;

/// Which two first tokens a wanted name can start with.
struct Starts {
    /// By first token: 0 when no wanted name starts with it, else 1 + its row; `ROWS + 1` when it has none.
    row: [u8; 256],
    /// By row, one bit for each second token. (1 KB in all: this is on the kernel's stack.)
    live: [[u64; 4]; ROWS],
}

impl Starts {
    fn new(tables: &Tables<'_>, names: &[&str]) -> Result<Starts, Error> {
        let mut starts = Starts {
            row: [0; 256],
            live: [[0; 4]; ROWS],
        };
        let (mut texts, mut rows) = ([&[][..]; ROWS], 0);
        for first in 0..=255 {
            let token = tables.token(first)?;
            let Some(text) = token.get(1..) else {
                // An empty token leaves the type letter to the second one: compare in full.
                starts.row[usize::from(first)] = ROWS as u8 + 1;
                continue;
            };
            if !names.iter().any(|name| name.as_bytes().starts_with(text)) {
                continue;
            }
            let row = match texts[..rows].iter().position(|other| *other == text) {
                Some(row) => row,
                None if rows == ROWS => ROWS,
                None => {
                    texts[rows] = text;
                    rows += 1;
                    rows - 1
                }
            };
            starts.row[usize::from(first)] = row as u8 + 1;
        }
        for (text, live) in texts[..rows].iter().zip(&mut starts.live) {
            for second in 0..=255 {
                let token = tables.token(second)?;
                let mut rests = names
                    .iter()
                    .filter_map(|name| name.as_bytes().strip_prefix(*text));
                let bit = u64::from(rests.any(|rest| rest.starts_with(token)));
                live[usize::from(second / 64)] |= bit << (second % 64);
            }
        }
        Ok(starts)
    }

    #[inline]
    fn may_match(&self, first: u8, second: u8) -> bool {
        match self.row[usize::from(first)] {
            0 => false,
            row => self
                .live
                .get(usize::from(row) - 1)
                .is_none_or(|live| live[usize::from(second / 64)] >> (second % 64) & 1 == 1),
        }
    }
}

impl<'a> Tables<'a> {
    /// Checks the fixed-size tables against the number of symbols.
    ///
    /// # Errors
    /// [`Error::Empty`] and [`Error::Short`].
    pub fn check(&self) -> Result<(), Error> {
        if self.num_syms == 0 {
            return Err(Error::Empty);
        }
        if self.token_index.len() < 512 {
            return Err(Error::Short("kallsyms_token_index"));
        }
        if self.offsets.len() / 4 < self.num_syms as usize {
            return Err(Error::Short("kallsyms_offsets"));
        }
        Ok(())
    }

    /// The characters that a token stands for, with all that follows their zero byte.
    fn token_start(&self, token: u8) -> Result<&'a [u8], Error> {
        let at = usize::from(token) * 2;
        let start = self
            .token_index
            .get(at..at + 2)
            .ok_or(Error::Token(token))?;
        let start = usize::from(u16::from_le_bytes([start[0], start[1]]));
        self.token_table.get(start..).ok_or(Error::Token(token))
    }

    /// The characters that a token stands for.
    fn token(&self, token: u8) -> Result<&'a [u8], Error> {
        let rest = self.token_start(token)?;
        let end = rest
            .iter()
            .position(|&b| b == 0)
            .ok_or(Error::Token(token))?;
        Ok(&rest[..end])
    }

    /// Address of symbol number `i`.
    fn address(&self, i: u32) -> Result<u64, Error> {
        let at = i as usize * 4;
        let raw = self
            .offsets
            .get(at..at + 4)
            .ok_or(Error::Short("kallsyms_offsets"))?;
        let offset = i32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
        Ok(self
            .offsets_address
            .wrapping_add(at as u64)
            .wrapping_add_signed(offset.into()))
    }

    /// Token numbers of name `i`, which starts at `at`; and where the next name starts.
    fn tokens(&self, i: u32, at: usize) -> Result<(&'a [u8], usize), Error> {
        let mut len = usize::from(*self.names.get(at).ok_or(Error::Name(i))?);
        let mut start = at + 1;
        if len & 0x80 != 0 {
            // "Big" symbols have a second length byte.
            len = len & 0x7f | usize::from(*self.names.get(start).ok_or(Error::Name(i))?) << 7;
            start += 1;
        }
        let end = start + len;
        Ok((self.names.get(start..end).ok_or(Error::Name(i))?, end))
    }

    /// Looks up all of `names`, which must be sorted, in one pass. `found[i]` answers for `names[i]`.
    ///
    /// No name is expanded. Nearly all of 200,000 symbols drop out at their first two tokens, by a table; the others
    /// are compared token by token.
    ///
    /// # Errors
    /// The first place where the tables contradict themselves.
    pub fn find(&self, names: &[&str], found: &mut [Found]) -> Result<(), Error> {
        self.check()?;
        let starts = Starts::new(self, names)?;
        let mut at = 0;
        for i in 0..self.num_syms {
            // The usual case, kept short: a length below 128 and two tokens that no wanted name starts with.
            if let Some(&[len, first, second]) =
                self.names.get(at..).and_then(|rest| rest.first_chunk())
            {
                if (2..0x80).contains(&len) && !starts.may_match(first, second) {
                    at += 1 + usize::from(len);
                    continue;
                }
            }
            let (tokens, next) = self.tokens(i, at)?;
            at = next;
            let Some(hit) = self.match_one(tokens, names)? else {
                continue;
            };
            if let Some(found) = found.get_mut(hit) {
                found.address = self.address(i)?;
                found.count += 1;
            }
        }
        Ok(())
    }

    /// As [`Self::find`], by binary search in the kernel's list of names: a sixth of its time. A list that is out of
    /// order misses names, and finds no wrong ones.
    ///
    /// # Errors
    /// The first place where the tables contradict themselves.
    pub fn search(
        &self,
        by_name: &ByName<'_>,
        names: &[&str],
        found: &mut [Found],
    ) -> Result<(), Error> {
        self.check()?;
        let mut start = 0;
        for (name, found) in names.iter().zip(found) {
            let (mut low, mut high) = (start, self.num_syms);
            while low < high {
                let middle = low + (high - low) / 2;
                match self.compare(self.nth_by_name(by_name, middle)?.1, name)? {
                    Ordering::Less => low = middle + 1,
                    _ => high = middle,
                }
            }
            start = low;
            for place in low..self.num_syms.min(low + 2) {
                let (i, tokens) = self.nth_by_name(by_name, place)?;
                if self.compare(tokens, name)? != Ordering::Equal {
                    break;
                }
                found.address = self.address(i)?;
                found.count += 1;
            }
        }
        Ok(())
    }

    /// Number and tokens of the symbol that is number `place` in the order of names.
    fn nth_by_name(&self, by_name: &ByName<'_>, place: u32) -> Result<(u32, &'a [u8]), Error> {
        let seq = by_name.seqs.get(place as usize * 3..);
        let [high, middle, low] = *seq
            .and_then(|seq| seq.first_chunk())
            .ok_or(Error::Short("kallsyms_seqs_of_names"))?;
        let i = u32::from_be_bytes([0, high, middle, low]);
        let marker = by_name.markers.get((i / MARKED) as usize * 4..);
        let mut at = marker
            .and_then(|marker| marker.first_chunk())
            .map(|marker| u32::from_le_bytes(*marker) as usize)
            .ok_or(Error::Short("kallsyms_markers"))?;
        at = self.skip(i / MARKED * MARKED..i, at)?;
        Ok((i, self.tokens(i, at)?.0))
    }

    /// Where the name behind names number `over` starts, the first of which starts at `at`.
    #[inline(never)]
    fn skip(&self, over: Range<u32>, mut at: usize) -> Result<usize, Error> {
        for i in over {
            match *self.names.get(at).ok_or(Error::Name(i))? {
                // Inside the table, so no overflow; the next one's length is looked for in it.
                len @ 0..0x80 => at = at.wrapping_add(1 + usize::from(len)),
                _ => at = self.tokens(i, at)?.1,
            }
        }
        Ok(at)
    }

    /// Compares what the tokens spell behind their type letter with `name`.
    fn compare(&self, tokens: &[u8], name: &str) -> Result<Ordering, Error> {
        let (mut rest, mut letter) = (name.as_bytes().iter(), true);
        for &token in tokens {
            for byte in self.token_start(token)?.iter().take_while(|&&b| b != 0) {
                if core::mem::take(&mut letter) {
                    continue;
                }
                match rest.next().map(|other| byte.cmp(other)) {
                    Some(Ordering::Equal) => {}
                    // Longer than the name: behind it.
                    order => return Ok(order.unwrap_or(Ordering::Greater)),
                }
            }
        }
        Ok(if rest.len() == 0 {
            Ordering::Equal
        } else {
            Ordering::Less
        })
    }

    /// Index of the one of `names` (sorted) that the tokens spell behind their type letter.
    fn match_one(&self, tokens: &[u8], names: &[&str]) -> Result<Option<usize>, Error> {
        // Names that agree with what was read so far: names[low..high], compared up to `depth`.
        let (mut low, mut high, mut depth, mut letter) = (0, names.len(), 0, true);
        for &token in tokens {
            for &byte in self.token_start(token)?.iter().take_while(|&&b| b != 0) {
                if core::mem::take(&mut letter) {
                    continue;
                }
                let byte_of = |i: usize| names.get(i).and_then(|name| name.as_bytes().get(depth));
                while low < high && byte_of(low) < Some(&byte) {
                    low += 1;
                }
                while low < high && byte_of(high - 1) > Some(&byte) {
                    high -= 1;
                }
                if low == high {
                    return Ok(None);
                }
                depth += 1;
            }
        }
        // Sorted: a name that ends here comes before those that go on.
        Ok(names
            .get(low)
            .filter(|name| low < high && name.len() == depth)
            .map(|_| low))
    }

    /// Shows `visit` every symbol, in the tables' order (by address).
    ///
    /// # Errors
    /// The first place where the tables contradict themselves.
    pub fn walk(&self, mut visit: impl FnMut(Symbol<'_>)) -> Result<(), Error> {
        self.check()?;
        let mut buffer = [0; MAX_NAME + 1];
        let mut at = 0;
        for i in 0..self.num_syms {
            let (tokens, next) = self.tokens(i, at)?;
            at = next;
            let text = self.expand(i, tokens, &mut buffer)?;
            let (&letter, name) = text.split_first().ok_or(Error::NameLength(i))?;
            visit(Symbol {
                letter,
                name,
                address: self.address(i)?,
            });
        }
        Ok(())
    }

    fn expand<'b>(&self, i: u32, tokens: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
        let mut len = 0;
        for &token in tokens {
            let text = self.token(token)?;
            buffer
                .get_mut(len..len + text.len())
                .ok_or(Error::NameLength(i))?
                .copy_from_slice(text);
            len += text.len();
        }
        Ok(&buffer[..len])
    }
}
