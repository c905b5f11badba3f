// SPDX-License-Identifier: GPL-2.0
//! The kernel's own note, read without allocation: its ELF wrapping and single lines of it.

/// Name of the note.
pub const NAME: &[u8] = b"VMCOREINFO\0";
/// Longest contents that are looked at. The kernel's are one page.
pub const MAX_BYTES: usize = 4096;

/// The contents of an ELF note that starts at the beginning of `bytes`; `None` when it is no VMCOREINFO note or longer
/// than `bytes`.
///
/// Layout: `struct elf64_note` (three 32-bit words: name length, contents length, type), name and contents padded to
/// 4 bytes.
pub fn contents(bytes: &[u8]) -> Option<&[u8]> {
    let word =
        |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let (name_len, len) = (word(0)?, word(4)?);
    if name_len != NAME.len() || bytes.get(12..12 + name_len)? != NAME || len > MAX_BYTES {
        return None;
    }
    let start = 12 + name_len.next_multiple_of(4);
    bytes.get(start..start + len)
}

/// The right side of `LEFT=…`, or of `WORD(name)=…` when `word` is not empty. The first of several lines counts, as
/// for makedumpfile.
pub fn value<'a>(text: &'a [u8], word: &str, name: &str) -> Option<&'a str> {
    let right = text.split(|&b| b == b'\n').find_map(|line| {
        let rest = match word {
            "" => line.strip_prefix(name.as_bytes())?,
            _ => line
                .strip_prefix(word.as_bytes())?
                .strip_prefix(b"(")?
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b")")?,
        };
        rest.strip_prefix(b"=")
    })?;
    core::str::from_utf8(right).ok()
}

/// All lines `WORD(name)=…`, in three parts.
pub fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], &str)> {
    text.split(|&b| b == b'\n').filter_map(|line| {
        let open = line.iter().position(|&b| b == b'(')?;
        let (word, rest) = (&line[..open], &line[open + 1..]);
        let close = rest.iter().position(|&b| b == b')')?;
        let right = rest[close..].strip_prefix(b")=")?;
        Some((word, &rest[..close], core::str::from_utf8(right).ok()?))
    })
}

/// A hexadecimal number without `0x`, as `SYMBOL()` and `KERNELOFFSET` have it.
pub fn hex(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(text, 16).ok())?
}

/// A decimal number with a sign, or a hexadecimal one with `0x`; addresses wrap to negative numbers.
pub fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => hex(digits).map(|v| v as i64),
        None => text.parse().ok(),
    }
}
