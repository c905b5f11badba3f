// SPDX-License-Identifier: GPL-2.0-or-later
//! Names of the lines: `SYMBOL(mem_section)`, `OFFSET(page.flags)`, `OSRELEASE`.

pub use modlogic::mkdfinfo::keys::Kind;
use std::fmt;

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
