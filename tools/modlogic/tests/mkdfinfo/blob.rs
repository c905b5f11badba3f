// SPDX-License-Identifier: GPL-2.0-or-later
//! Builds BTF blobs and kallsyms tables, good ones and absurd ones.

use modlogic::mkdfinfo::kallsyms::{ByName, MARKED, Tables};

/// A BTF blob in the making. Types are numbered from 1.
#[derive(Default)]
pub struct Blob {
    types: Vec<u8>,
    strings: Vec<u8>,
    layout: Vec<u8>,
    count: u32,
}

impl Blob {
    fn name(&mut self, name: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if name.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        at
    }

    /// A record of any kind; returns its number.
    pub fn record(
        &mut self,
        name: &str,
        kind: u32,
        flag: bool,
        vlen: u32,
        word: u32,
        rest: &[u32],
    ) -> u32 {
        let info = kind << 24 | u32::from(flag) << 31 | vlen;
        for value in [self.name(name), info, word].iter().chain(rest) {
            self.types.extend_from_slice(&value.to_ne_bytes());
        }
        self.count += 1;
        self.count
    }

    pub fn int(&mut self, name: &str, bytes: u32) -> u32 {
        self.record(name, 1, false, 0, bytes, &[bytes * 8])
    }

    pub fn pointer(&mut self, to: u32) -> u32 {
        self.record("", 2, false, 0, to, &[])
    }

    pub fn array(&mut self, of: u32, len: u32) -> u32 {
        self.record("", 3, false, 0, 0, &[of, 1, len])
    }

    pub fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.record(name, 8, false, 0, of, &[])
    }

    /// Members are (name, type, offset in bits).
    pub fn structure(&mut self, name: &str, bytes: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.aggregate(name, 4, false, bytes, members)
    }

    pub fn union(&mut self, name: &str, bytes: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.aggregate(name, 5, false, bytes, members)
    }

    pub fn aggregate(
        &mut self,
        name: &str,
        kind: u32,
        flag: bool,
        bytes: u32,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        let mut rest = Vec::new();
        for (member, ty, bits) in members {
            rest.extend([self.name(member), *ty, *bits]);
        }
        self.record(name, kind, flag, members.len() as u32, bytes, &rest)
    }

    pub fn enumeration(&mut self, name: &str, signed: bool, values: &[(&str, i32)]) -> u32 {
        let mut rest = Vec::new();
        for (enumerator, value) in values {
            rest.extend([self.name(enumerator), *value as u32]);
        }
        self.record(name, 6, signed, values.len() as u32, 4, &rest)
    }

    pub fn enumeration64(&mut self, name: &str, values: &[(&str, u64)]) -> u32 {
        let mut rest = Vec::new();
        for (enumerator, value) in values {
            rest.extend([self.name(enumerator), *value as u32, (*value >> 32) as u32]);
        }
        self.record(name, 19, false, values.len() as u32, 8, &rest)
    }

    /// Says how long records of `kind` are, as kernels since 7.1 do: (of the record, of each element).
    pub fn layout(&mut self, kind: usize, sizes: (u8, u8)) {
        self.layout.resize((kind + 1) * 4, 0);
        self.layout[kind * 4] = sizes.0;
        self.layout[kind * 4 + 1] = sizes.1;
    }

    /// The blob's bytes.
    pub fn build(mut self) -> Vec<u8> {
        self.name("");
        let (types, strings, layout) = (
            self.types.len() as u32,
            self.strings.len() as u32,
            self.layout.len() as u32,
        );
        let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        for word in [32, 0, types, types, strings, types + strings, layout] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend(self.types);
        bytes.extend(self.strings);
        bytes.extend(self.layout);
        bytes
    }
}

/// kallsyms tables of made-up symbols.
pub struct Symbols {
    names: Vec<u8>,
    token_table: Vec<u8>,
    token_index: Vec<u8>,
    offsets: Vec<u8>,
    markers: Vec<u8>,
    seqs: Vec<u8>,
    count: u32,
}

/// Where the offsets table pretends to be.
pub const OFFSETS_ADDRESS: u64 = 0xffff_ffff_8270_0000;

impl Symbols {
    /// Tables with the given tokens (numbers 128 and up; 0 to 127 stand for themselves) and (letter, name, address).
    pub fn new(tokens: &[&str], symbols: &[(char, &str, u64)]) -> Symbols {
        let mut made = Symbols {
            names: Vec::new(),
            token_table: Vec::new(),
            token_index: Vec::new(),
            offsets: Vec::new(),
            markers: Vec::new(),
            seqs: Vec::new(),
            count: 0,
        };
        let texts: Vec<Vec<u8>> = (0..256_usize)
            .map(|i| match tokens.get(i.wrapping_sub(128)) {
                Some(text) => text.as_bytes().to_vec(),
                None if (1..128).contains(&i) => vec![i as u8],
                None => Vec::new(),
            })
            .collect();
        for text in &texts {
            made.token_index
                .extend((made.token_table.len() as u16).to_le_bytes());
            made.token_table.extend(text);
            made.token_table.push(0);
        }
        for (letter, name, address) in symbols {
            made.push(
                &format!("{letter}{name}"),
                *address,
                &texts[128..128 + tokens.len()],
            );
        }
        let mut order: Vec<usize> = (0..symbols.len()).collect();
        order.sort_by_key(|&i| (symbols[i].1, i));
        for i in order {
            made.seqs.extend(&(i as u32).to_be_bytes()[1..]);
        }
        made
    }

    /// Adds a symbol, compressed with the longest token that fits at each place.
    fn push(&mut self, text: &str, address: u64, tokens: &[Vec<u8>]) {
        let (mut rest, mut numbers) = (text.as_bytes(), Vec::new());
        while !rest.is_empty() {
            let fitting = tokens
                .iter()
                .enumerate()
                .filter(|(_, token)| !token.is_empty() && rest.starts_with(token));
            let (number, len) = match fitting.max_by_key(|(_, token)| token.len()) {
                Some((i, token)) => (128 + i as u8, token.len()),
                None => (rest[0], 1),
            };
            numbers.push(number);
            rest = &rest[len..];
        }
        if self.count % MARKED == 0 {
            self.markers.extend((self.names.len() as u32).to_le_bytes());
        }
        match numbers.len() {
            len @ 0..=127 => self.names.push(len as u8),
            len => self
                .names
                .extend([len as u8 & 0x7f | 0x80, (len >> 7) as u8]),
        }
        self.names.extend(numbers);
        let place = OFFSETS_ADDRESS + 4 * u64::from(self.count);
        self.offsets
            .extend((address.wrapping_sub(place) as i32).to_le_bytes());
        self.count += 1;
    }

    pub fn tables(&self) -> Tables<'_> {
        Tables {
            num_syms: self.count,
            names: &self.names,
            token_table: &self.token_table,
            token_index: &self.token_index,
            offsets: &self.offsets,
            offsets_address: OFFSETS_ADDRESS,
        }
    }

    pub fn by_name(&self) -> ByName<'_> {
        ByName {
            markers: &self.markers,
            seqs: &self.seqs,
        }
    }
}
