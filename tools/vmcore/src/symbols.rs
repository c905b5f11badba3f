// SPDX-License-Identifier: GPL-2.0-or-later
//! The kernel's own symbol table, decoded from the dump (kernel/kallsyms.c, scripts/kallsyms.c).
//!
//! Names are strings of tokens: a length (one byte, or two when the top bit is set), then one token number a byte;
//! the first character is the type as in nm(1). Addresses are 32-bit offsets.

use crate::addr::VirtAddr;
use crate::error::{Error, Result};
use crate::memory::{Keys, Memory};
use std::collections::HashMap;

/// A kernel with everything built in has 400,000.
const MAX_SYMBOLS: u32 = 4 << 20;
/// KSYM_NAME_LEN.
const MAX_NAME_BYTES: usize = 512;
const TOKENS: usize = 256;
/// Token texts are a few bytes each.
const MAX_TOKEN_TABLE_BYTES: usize = 64 << 10;
const CHUNK_BYTES: usize = 64 << 10;

/// One symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Run-time address.
    pub addr: VirtAddr,
    /// Type as in nm(1): `T` function, `D` data, …; lower case is local.
    pub kind: u8,
    /// The name.
    pub name: String,
}

/// Names and addresses of the kernel image; symbols of modules are not in it.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    /// By address.
    list: Vec<Symbol>,
    by_name: HashMap<String, usize>,
}

impl Symbols {
    /// Decodes the table of the dump.
    ///
    /// # Errors
    /// A missing key, a table that is not in the dump, or addresses that contradict `SYMBOL(_stext)`.
    pub fn read(memory: &(impl Memory + ?Sized)) -> Result<Symbols> {
        let keys = Keys {
            info: memory.vmcoreinfo(),
            purpose: "reading the symbol table (kallsyms)",
        };
        let count = memory.read_u32(keys.symbol("kallsyms_num_syms")?)?;
        if count == 0 || count > MAX_SYMBOLS {
            return Err(Error::BadValue {
                what: "kallsyms_num_syms".into(),
                value: count.into(),
                valid: "1 to 4194304",
            });
        }
        let tokens = Tokens::read(memory, &keys)?;
        let names = read_names(memory, keys.symbol("kallsyms_names")?, count, &tokens)?;
        let addrs = read_addresses(memory, &keys, &names)?;
        let symbols = names.into_iter().zip(addrs);
        let list = symbols.map(|((kind, name), addr)| Symbol {
            addr: VirtAddr(addr),
            kind,
            name,
        });
        Ok(Symbols::new(list.collect()))
    }

    fn new(mut list: Vec<Symbol>) -> Symbols {
        list.sort_by_key(|symbol| symbol.addr);
        let mut by_name = HashMap::with_capacity(list.len());
        for (index, symbol) in list.iter().enumerate() {
            // Local names repeat; the first is what kallsyms_lookup_name() finds too.
            by_name.entry(symbol.name.clone()).or_insert(index);
        }
        Symbols { list, by_name }
    }

    /// The address of a name.
    pub fn address(&self, name: &str) -> Option<VirtAddr> {
        let index = *self.by_name.get(name)?;
        Some(self.list[index].addr)
    }

    /// The symbol that an address lies in, and the distance from it in bytes. None outside the image.
    pub fn lookup(&self, addr: VirtAddr) -> Option<(&Symbol, u64)> {
        let next = self.list.partition_point(|symbol| symbol.addr <= addr);
        let end = self.list.last()?.addr;
        let symbol = &self.list[next.checked_sub(1)?];
        (addr <= end).then(|| (symbol, addr.0 - symbol.addr.0))
    }

    /// All symbols, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Symbol> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// The 256 strings that names are made of.
struct Tokens(Vec<Vec<u8>>);

impl Tokens {
    fn read(memory: &(impl Memory + ?Sized), keys: &Keys<'_>) -> Result<Tokens> {
        let index = memory.read_bytes(keys.symbol("kallsyms_token_index")?, TOKENS * 2)?;
        let starts: Vec<usize> = index
            .chunks_exact(2)
            .map(|raw| u16::from_le_bytes([raw[0], raw[1]]).into())
            .collect();
        let last = starts.iter().copied().max().unwrap_or(0);
        let bytes = (last + MAX_NAME_BYTES).min(MAX_TOKEN_TABLE_BYTES + MAX_NAME_BYTES);
        let table = memory.read_bytes(keys.symbol("kallsyms_token_table")?, bytes)?;
        let token = |start: usize| {
            let rest = table.get(start..).unwrap_or_default();
            let end = rest.iter().position(|&b| b == 0).unwrap_or(rest.len());
            rest[..end].to_vec()
        };
        Ok(Tokens(starts.into_iter().map(token).collect()))
    }

    fn expand(&self, numbers: &[u8]) -> Vec<u8> {
        let mut name = Vec::new();
        for &number in numbers {
            name.extend(&self.0[usize::from(number)]);
            if name.len() > MAX_NAME_BYTES {
                name.truncate(MAX_NAME_BYTES);
                break;
            }
        }
        name
    }
}

type Name = (u8, String);

fn read_names(
    memory: &(impl Memory + ?Sized),
    start: VirtAddr,
    count: u32,
    tokens: &Tokens,
) -> Result<Vec<Name>> {
    let mut names = Vec::with_capacity(count as usize);
    let mut stream = Stream {
        memory,
        next: start,
        buf: Vec::new(),
        at: 0,
    };
    for _ in 0..count {
        let mut bytes = usize::from(stream.take(1)?[0]);
        if bytes & 0x80 != 0 {
            bytes = bytes & 0x7f | usize::from(stream.take(1)?[0]) << 7;
        }
        let text = tokens.expand(stream.take(bytes)?);
        let (kind, name) = text.split_first().unwrap_or((&b'?', &[]));
        names.push((*kind, String::from_utf8_lossy(name).into_owned()));
    }
    Ok(names)
}

/// Reads forward in chunks that end at page boundaries, so that nothing beyond the last symbol's page is needed.
struct Stream<'a, M: ?Sized> {
    memory: &'a M,
    next: VirtAddr,
    buf: Vec<u8>,
    at: usize,
}

impl<M: Memory + ?Sized> Stream<'_, M> {
    fn take(&mut self, bytes: usize) -> Result<&[u8]> {
        while self.buf.len() - self.at < bytes {
            self.buf.drain(..self.at);
            self.at = 0;
            let page = 4096 - (self.next.0 % 4096) as usize;
            let more = self.memory.read_bytes(self.next, page)?;
            self.next = VirtAddr(self.next.0.wrapping_add(page as u64));
            self.buf.extend(more);
        }
        let taken = &self.buf[self.at..self.at + bytes];
        self.at += bytes;
        Ok(taken)
    }
}

/// How the 32-bit offsets become addresses; it changed with releases and options, and the dump does not say.
#[derive(Debug, Clone, Copy)]
enum Scheme {
    /// 7.3 on: relative to the entry itself (`offset_to_ptr`).
    SelfRelative,
    /// 6.15 to 7.2: unsigned, from `kallsyms_relative_base`.
    Relative(u64),
    /// Up to 6.14 with CONFIG_KALLSYMS_ABSOLUTE_PERCPU: negative counts from the base, positive is absolute.
    PercpuAbsolute(u64),
}

impl Scheme {
    fn address(self, entry: u64, offset: i32) -> u64 {
        match self {
            Scheme::SelfRelative => entry.wrapping_add(offset as u64),
            Scheme::Relative(base) => base.wrapping_add(offset as u32 as u64),
            Scheme::PercpuAbsolute(_) if offset >= 0 => offset as u64,
            Scheme::PercpuAbsolute(base) => base.wrapping_sub(1).wrapping_sub(offset as u64),
        }
    }
}

fn read_addresses(
    memory: &(impl Memory + ?Sized),
    keys: &Keys<'_>,
    names: &[Name],
) -> Result<Vec<u64>> {
    let table = keys.symbol("kallsyms_offsets")?;
    let mut offsets: Vec<i32> = Vec::with_capacity(names.len());
    let total = names.len() * 4;
    for start in (0..total).step_by(CHUNK_BYTES) {
        let at = VirtAddr(table.0.wrapping_add(start as u64));
        let raw = memory.read_bytes(at, CHUNK_BYTES.min(total - start))?;
        let words = raw.chunks_exact(4);
        offsets.extend(words.map(|w| i32::from_le_bytes([w[0], w[1], w[2], w[3]])));
    }
    let mut schemes = vec![Scheme::SelfRelative];
    if let Some(at) = keys.info.symbol("kallsyms_relative_base") {
        let base = memory.read_u64(VirtAddr(at))?;
        schemes = vec![Scheme::Relative(base), Scheme::PercpuAbsolute(base)];
    }
    let entry = |index: usize| table.0.wrapping_add(4 * index as u64);
    // The one symbol whose address the note gives tells which scheme is right.
    let known = keys.symbol("_stext")?;
    let found = names.iter().position(|(_, name)| name == "_stext");
    let fits =
        |scheme: &Scheme| found.is_some_and(|i| scheme.address(entry(i), offsets[i]) == known.0);
    let Some(scheme) = schemes.into_iter().find(fits) else {
        return Err(Error::BadValue {
            what: "_stext in kallsyms".into(),
            value: found.map_or(0, |i| offsets[i] as u32).into(),
            valid: "an offset that gives SYMBOL(_stext) of VMCOREINFO",
        });
    };
    let offsets = offsets.into_iter().enumerate();
    Ok(offsets
        .map(|(i, offset)| scheme.address(entry(i), offset))
        .collect())
}
