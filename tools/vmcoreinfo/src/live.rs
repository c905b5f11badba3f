// SPDX-License-Identifier: GPL-2.0-or-later
//! The running kernel: its note out of /proc/kcore, its symbols out of /proc/kallsyms.

use crate::facts::FactsError;
use object::elf::{FileHeader64, PT_NOTE};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache};
use std::io::{Read, Seek};

/// Name of the note.
const NAME: &[u8] = b"VMCOREINFO";
/// Longest ELF note segment that is looked at; /proc/kcore's is a few KB.
const MAX_NOTES_BYTES: u64 = 1 << 20;

/// The contents of the VMCOREINFO note of an ELF core file: /proc/kcore, /proc/vmcore. Only headers and notes are read.
///
/// # Errors
/// In words: not ELF, no such note, or an I/O error.
pub fn note_of_core(file: impl Read + Seek) -> Result<Vec<u8>, String> {
    let cache = ReadCache::new(file);
    let header = FileHeader64::<Endianness>::parse(&cache).map_err(|e| e.to_string())?;
    let endian = header.endian().map_err(|e| e.to_string())?;
    let segments = header
        .program_headers(endian, &cache)
        .map_err(|e| e.to_string())?;
    for segment in segments
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_NOTE)
    {
        if segment.p_filesz(endian) > MAX_NOTES_BYTES {
            return Err(format!(
                "a note segment of {} bytes",
                segment.p_filesz(endian)
            ));
        }
        let Some(mut notes) = segment.notes(endian, &cache).map_err(|e| e.to_string())? else {
            continue;
        };
        while let Some(note) = notes.next().map_err(|e| e.to_string())? {
            if note.name() == NAME {
                return Ok(note.desc().to_vec());
            }
        }
    }
    Err("it has no VMCOREINFO note".into())
}

/// The kernel's symbols in a text as /proc/kallsyms has it; those of modules are left out.
///
/// # Errors
/// [`FactsError::Symbols`]: a line that is not `ADDRESS TYPE NAME`, or all addresses are zero.
pub fn kallsyms(text: &[u8]) -> Result<Vec<(&[u8], u64)>, FactsError> {
    let mut symbols = Vec::new();
    for (i, line) in text.split(|&b| b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let parsed = kallsyms_line(line);
        let (name, address) = parsed
            .ok_or_else(|| FactsError::Symbols(format!("line {}: not ADDRESS TYPE NAME", i + 1)))?;
        // "name\t[module]"
        if !name.contains(&b'\t') {
            symbols.push((name, address));
        }
    }
    if symbols.iter().all(|symbol| symbol.1 == 0) {
        return Err(FactsError::Symbols(
            "all addresses are hidden: read them as root, with kernel.kptr_restrict below 2".into(),
        ));
    }
    Ok(symbols)
}

fn kallsyms_line(line: &[u8]) -> Option<(&[u8], u64)> {
    let mut fields = line.splitn(3, |&b| b == b' ');
    let address = std::str::from_utf8(fields.next()?).ok()?;
    let address = u64::from_str_radix(address, 16).ok()?;
    (fields.next()?.len() == 1).then_some(())?;
    let name = fields.next().filter(|name| !name.is_empty())?;
    Some((name, address))
}
