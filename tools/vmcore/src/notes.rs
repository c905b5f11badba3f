// SPDX-License-Identifier: GPL-2.0-or-later
//! ELF notes: `Elf64_Nhdr {namesz, descsz, type}`, name and descriptor each padded to 4 bytes (elf(5)).

use crate::bytes::u32_at;

/// Longest PT_NOTE that is read: 8192 CPUs with prstatus and XSAVE need less.
pub const MAX_NOTES_BYTES: u64 = 64 << 20;

/// One note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note<'a> {
    /// The owner, without the final NUL.
    pub name: &'a [u8],
    /// The type, in the owner's numbering.
    pub kind: u32,
    /// The contents.
    pub desc: &'a [u8],
}

/// Goes through the notes of a segment and stops at the first that does not fit into it.
#[derive(Debug, Clone)]
pub struct Notes<'a> {
    rest: &'a [u8],
}

impl<'a> Notes<'a> {
    /// Notes of the given segment contents.
    pub fn new(segment: &'a [u8]) -> Notes<'a> {
        Notes { rest: segment }
    }

    /// Length of the notes up to the first that is none, or the kernel's end mark.
    pub fn bytes(&self) -> usize {
        let mut notes = self.clone();
        while notes.next().is_some() {}
        self.rest.len() - notes.rest.len()
    }

    fn parse(&self) -> Option<(Note<'a>, &'a [u8])> {
        let rest = self.rest;
        if rest.len() < 12 {
            return None;
        }
        let (name_bytes, desc_bytes) = (u32_at(rest, 0) as usize, u32_at(rest, 4) as usize);
        let desc_at = name_bytes.checked_next_multiple_of(4)?.checked_add(12)?;
        let end = desc_at.checked_add(desc_bytes)?;
        let name = rest.get(12..12 + name_bytes)?;
        let desc = rest.get(desc_at..end)?;
        let next = end.checked_next_multiple_of(4)?.min(rest.len());
        let note = Note {
            name: name.strip_suffix(b"\0").unwrap_or(name),
            kind: u32_at(rest, 8),
            desc,
        };
        // An all-zero header is the kernel's end mark (final_note()).
        let end_mark = note.name.is_empty() && note.desc.is_empty() && note.kind == 0;
        (!end_mark).then(|| (note, &rest[next..]))
    }
}

impl<'a> Iterator for Notes<'a> {
    type Item = Note<'a>;

    fn next(&mut self) -> Option<Note<'a>> {
        let (note, rest) = self.parse()?;
        self.rest = rest;
        Some(note)
    }
}

/// A note as bytes.
pub(crate) fn encode(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // The name's length counts its NUL.
    for word in [name.len() as u32 + 1, desc.len() as u32, kind] {
        out.extend(word.to_le_bytes());
    }
    out.extend(name);
    out.resize((out.len() + 1).next_multiple_of(4), 0);
    out.extend(desc);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}
