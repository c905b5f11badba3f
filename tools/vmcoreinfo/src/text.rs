// SPDX-License-Identifier: GPL-2.0-or-later
//! Reading and writing the text.
//!
//! Format: `Documentation/admin-guide/kdump/vmcoreinfo.rst` and `include/linux/vmcore_info.h` of the kernel for the
//! note, `read_vmcoreinfo()` of makedumpfile for `-i` files. One `key=value` a line; nothing is quoted.

use crate::{Key, Kind};
use std::collections::HashMap;
use std::fmt::Write as _;

/// Longest text that is read. The kernel's note is one page, `makedumpfile -g` writes 3 KB, mkdfinfo.ko under 8 KB.
pub const MAX_BYTES: usize = 64 << 10;
/// Longest line that is read. The kernel's own limit is 80 bytes, makedumpfile's reader takes 1024.
pub const MAX_LINE_BYTES: usize = 1024;

/// Why a text is not VMCOREINFO.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("VMCOREINFO line {line}: {error}")]
pub struct ParseError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with that line.
    pub error: Error,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text as a whole is longer than [`MAX_BYTES`].
    #[error("the text is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// The line is longer than [`MAX_LINE_BYTES`].
    #[error("longer than {MAX_LINE_BYTES} bytes")]
    LineTooLong,
    /// A byte that no VMCOREINFO line has; usually the file is something else (an ELF file, a dump).
    #[error("byte {byte:#04x} at column {column} is not printable ASCII")]
    NotText {
        /// The byte.
        byte: u8,
        /// Column, from 1.
        column: usize,
    },
    /// No `=`, or nothing before it.
    #[error("{text:?} is not KEY=VALUE")]
    NotKeyValue {
        /// The start of the line.
        text: String,
    },
    /// The value does not have the form that the key's kind demands.
    #[error("{key}: {value:?} is not {expected}")]
    BadValue {
        /// The left side.
        key: Key,
        /// The start of the right side.
        value: String,
        /// The form that is valid.
        expected: &'static str,
    },
    /// The same key with another value, on an earlier line.
    #[error("{key} is {value:?} here and {earlier:?} on line {earlier_line}")]
    Contradiction {
        /// The left side.
        key: Key,
        /// Value on this line.
        value: String,
        /// Value on the earlier line.
        earlier: String,
        /// The earlier line, from 1.
        earlier_line: usize,
    },
}

/// The right side of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An address: `SYMBOL()` and `KERNELOFFSET`; written as hexadecimal without `0x`.
    Address(u64),
    /// A size, offset or length; written as decimal.
    Unsigned(u64),
    /// A number; written as decimal.
    Number(i64),
    /// A number that is written as `0x` hexadecimal (`NUMBER(VMALLOC_START)`).
    HexNumber(u64),
    /// Text as it stands.
    Text(String),
}

impl Value {
    /// The value as the file has it.
    pub fn to_text(&self) -> String {
        match self {
            Value::Address(v) => format!("{v:x}"),
            Value::Unsigned(v) => v.to_string(),
            Value::Number(v) => v.to_string(),
            Value::HexNumber(v) => format!("{v:#x}"),
            Value::Text(v) => v.clone(),
        }
    }

    fn parse(key: &Key, text: &str) -> Result<Value, Error> {
        let (value, expected) = match (key.kind, key.name.as_str()) {
            (Kind::Symbol, _) | (Kind::Plain, "KERNELOFFSET") => (
                hex(text).map(Value::Address),
                "a hexadecimal address of at most 16 digits without 0x",
            ),
            (Kind::Size | Kind::Offset | Kind::Length, _)
            | (Kind::Plain, "PAGESIZE" | "CRASHTIME") => (
                decimal(text).map(Value::Unsigned),
                "a decimal number from 0 to 2^64-1",
            ),
            (Kind::Number, _) => (
                number(text),
                "a decimal number or a hexadecimal one with 0x, of 64 bits",
            ),
            (Kind::Plain, _) => (Some(Value::Text(text.into())), ""),
        };
        value.ok_or_else(|| Error::BadValue {
            key: key.clone(),
            value: excerpt(text),
            expected,
        })
    }
}

fn hex(text: &str) -> Option<u64> {
    // from_str_radix would also take a sign.
    text.bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then(|| u64::from_str_radix(text, 16).ok())?
}

fn decimal(text: &str) -> Option<u64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn number(text: &str) -> Option<Value> {
    match text.strip_prefix("0x") {
        Some(digits) => hex(digits).map(Value::HexNumber),
        None if text.starts_with('+') => None,
        None => text.parse().ok().map(Value::Number),
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The left side.
    pub key: Key,
    /// The right side.
    pub value: Value,
}

/// The lines of one VMCOREINFO text, in their order, each key once.
#[derive(Debug, Clone, Default)]
pub struct Vmcoreinfo {
    entries: Vec<Entry>,
    by_key: HashMap<Key, usize>,
}

impl Vmcoreinfo {
    /// Reads a note's contents or a `-i` file. Zero bytes at the end (a note's padding) and empty lines are skipped,
    /// unknown keys are kept.
    ///
    /// # Errors
    /// [`ParseError`] names the first bad line. Nothing is guessed: a value of the wrong form and a key with two
    /// values are errors, because a filter that uses a wrong offset writes a wrong dump.
    pub fn parse(bytes: &[u8]) -> Result<Vmcoreinfo, ParseError> {
        let end = bytes
            .iter()
            .rposition(|&b| b != 0)
            .map_or(0, |last| last + 1);
        let bytes = &bytes[..end];
        if bytes.len() > MAX_BYTES {
            return Err(ParseError {
                line: 1,
                error: Error::TooLong,
            });
        }
        let mut info = Vmcoreinfo::default();
        let mut line_of = HashMap::new();
        for (i, line) in bytes.split(|&b| b == b'\n').enumerate() {
            info.parse_line(line, i + 1, &mut line_of)
                .map_err(|error| ParseError { line: i + 1, error })?;
        }
        Ok(info)
    }

    fn parse_line(
        &mut self,
        line: &[u8],
        number: usize,
        line_of: &mut HashMap<Key, usize>,
    ) -> Result<(), Error> {
        if line.len() > MAX_LINE_BYTES {
            return Err(Error::LineTooLong);
        }
        if let Some(i) = line.iter().position(|b| !matches!(b, b' '..=b'~' | b'\t')) {
            return Err(Error::NotText {
                byte: line[i],
                column: i + 1,
            });
        }
        // Cannot fail: every byte was seen to be ASCII.
        let text = std::str::from_utf8(line).unwrap_or_default();
        if text.is_empty() {
            return Ok(());
        }
        let (left, right) = match text.split_once('=') {
            Some((left, right)) if !left.is_empty() => (left, right),
            _ => {
                return Err(Error::NotKeyValue {
                    text: excerpt(text),
                });
            }
        };
        let key = Key::parse(left);
        let value = Value::parse(&key, right)?;
        match self.get(&key) {
            None => {
                line_of.insert(key.clone(), number);
                self.set(key, value);
            }
            Some(earlier) if *earlier == value => {}
            Some(earlier) => {
                let (value, earlier) = (excerpt(right), excerpt(&earlier.to_text()));
                let earlier_line = line_of.get(&key).copied().unwrap_or(0);
                return Err(Error::Contradiction {
                    key,
                    value,
                    earlier,
                    earlier_line,
                });
            }
        }
        Ok(())
    }

    /// Adds a line, or replaces the value of the one that has this key.
    pub fn set(&mut self, key: Key, value: Value) {
        match self.by_key.get(&key) {
            Some(&i) => self.entries[i].value = value,
            None => {
                self.by_key.insert(key.clone(), self.entries.len());
                self.entries.push(Entry { key, value });
            }
        }
    }

    /// The lines in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The value of a key.
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.by_key.get(key).map(|&i| &self.entries[i].value)
    }

    fn unsigned(&self, kind: Kind, name: &str) -> Option<u64> {
        match *self.get(&Key::new(kind, name))? {
            Value::Address(v) | Value::Unsigned(v) | Value::HexNumber(v) => Some(v),
            Value::Number(v) => Some(v as u64),
            Value::Text(_) => None,
        }
    }

    fn plain_text(&self, name: &str) -> Option<&str> {
        match self.get(&Key::new(Kind::Plain, name))? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// `SYMBOL(name)`: a virtual address. In a note it is the run-time address, in a `-i` file the link-time one.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.unsigned(Kind::Symbol, name)
    }

    /// `SIZE(type)`, in bytes.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.unsigned(Kind::Size, name)
    }

    /// `OFFSET(struct.member)`, in bytes.
    pub fn offset(&self, name: &str) -> Option<u64> {
        self.unsigned(Kind::Offset, name)
    }

    /// `LENGTH(array)`, in elements.
    pub fn length(&self, name: &str) -> Option<u64> {
        self.unsigned(Kind::Length, name)
    }

    /// `NUMBER(name)`. Hexadecimal values above `i64::MAX` (addresses) come out negative: cast them to `u64`.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.unsigned(Kind::Number, name).map(|v| v as i64)
    }

    /// `OSRELEASE`: the kernel's `uname -r`.
    pub fn osrelease(&self) -> Option<&str> {
        self.plain_text("OSRELEASE")
    }

    /// `BUILD-ID`: the kernel's GNU build id in hexadecimal; in no file of `makedumpfile -g`.
    pub fn build_id(&self) -> Option<&str> {
        self.plain_text("BUILD-ID")
    }

    /// `PAGESIZE`, in bytes.
    pub fn page_size(&self) -> Option<u64> {
        self.unsigned(Kind::Plain, "PAGESIZE")
    }

    /// `CRASHTIME`: seconds since 1970 when the kernel panicked.
    pub fn crash_time(&self) -> Option<u64> {
        self.unsigned(Kind::Plain, "CRASHTIME")
            .or_else(|| self.plain_text("CRASHTIME")?.parse().ok())
    }

    /// `KERNELOFFSET`: KASLR's distance from link-time to run-time addresses.
    pub fn kernel_offset(&self) -> Option<u64> {
        self.unsigned(Kind::Plain, "KERNELOFFSET")
    }

    /// The text again, one line an entry; parsing it gives equal entries.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for Entry { key, value } in &self.entries {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{key}={}", value.to_text());
        }
        out
    }
}
