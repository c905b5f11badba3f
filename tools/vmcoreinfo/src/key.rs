// SPDX-License-Identifier: GPL-2.0-or-later
//! Names of the lines: `SYMBOL(mem_section)`, `OFFSET(page.flags)`, `OSRELEASE`.

use std::fmt;

/// What a line says about its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `SYMBOL(name)`: virtual address of a variable or function, hexadecimal without `0x`.
    Symbol,
    /// `SIZE(type)`: size of a type in bytes, decimal.
    Size,
    /// `OFFSET(struct.member)`: offset of a member in bytes, decimal.
    Offset,
    /// `LENGTH(array)`: number of elements, decimal.
    Length,
    /// `NUMBER(name)`: an enumerator, a macro or a variable, decimal (may be negative) or `0x` hexadecimal.
    Number,
    /// Anything else: `OSRELEASE`, `BUILD-ID`, `PAGESIZE`, `KERNELOFFSET`, `CRASHTIME`, `SRCFILE(pud_t)`, `CONFIG_X86_PAE`.
    Plain,
}

impl Kind {
    /// The kinds that have a `WORD(name)` form, in the order in which the text lists them.
    pub const NAMED: [Kind; 5] = [
        Kind::Symbol,
        Kind::Size,
        Kind::Offset,
        Kind::Length,
        Kind::Number,
    ];

    /// The word before the parenthesis; empty for [`Kind::Plain`].
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Symbol => "SYMBOL",
            Kind::Size => "SIZE",
            Kind::Offset => "OFFSET",
            Kind::Length => "LENGTH",
            Kind::Number => "NUMBER",
            Kind::Plain => "",
        }
    }
}

/// The left side of one line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What the line says about `name`.
    pub kind: Kind,
    /// The name inside the parentheses, or the whole left side of a [`Kind::Plain`] line.
    pub name: String,
}

impl Key {
    /// A key from its two parts.
    pub fn new(kind: Kind, name: impl Into<String>) -> Key {
        Key {
            kind,
            name: name.into(),
        }
    }

    /// Takes a left side apart. Never fails: what has no known word is [`Kind::Plain`].
    pub fn parse(text: &str) -> Key {
        for kind in Kind::NAMED {
            let inner = text
                .strip_prefix(kind.word())
                .and_then(|rest| rest.strip_prefix('('))
                .and_then(|rest| rest.strip_suffix(')'));
            if let Some(name) = inner {
                return Key::new(kind, name);
            }
        }
        Key::new(Kind::Plain, text)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Plain => f.write_str(&self.name),
            kind => write!(f, "{}({})", kind.word(), self.name),
        }
    }
}
