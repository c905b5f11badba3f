// SPDX-License-Identifier: GPL-2.0-or-later
//! Dump levels: sums of 1, 2, 4, 8 and 16, as makedumpfile defined them.

use crate::pages::class::Class;
use std::fmt;
use std::str::FromStr;

/// What a dump leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

/// The bits and their meanings; help texts are made from this table.
pub const BITS: [(u8, &str); 5] = [
    (1, "pages filled with zeros"),
    (2, "page cache without private data"),
    (4, "page cache, also with private data"),
    (8, "user pages: anonymous and hugetlb"),
    (16, "free pages"),
];

impl Level {
    /// Everything that can be left out.
    pub const MAX: Level = Level(31);
    /// Nothing is left out.
    pub const NONE: Level = Level(0);

    /// A level from its number, 0 to 31.
    pub const fn new(number: u8) -> Option<Level> {
        if number <= Level::MAX.0 {
            Some(Level(number))
        } else {
            None
        }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether zero pages are left out (found when the page is read, not by its class).
    pub const fn zero(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether `struct page` must be understood.
    pub const fn needs_classes(self) -> bool {
        self.0 & !1 != 0
    }

    /// Whether pages of this class go into the dump.
    pub const fn keeps(self, class: Class) -> bool {
        match class.excluded_by() {
            Some(0) => false,
            Some(bits) => self.0 & bits == 0,
            None => true,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A dump level that is no number from 0 to 31.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "dump level {0:?} is not a number from 0 to 31: the sum of 1 (zero pages), 2 (cache), 4 (cache with private data), \
     8 (user) and 16 (free)"
)]
pub struct BadLevel(String);

impl FromStr for Level {
    type Err = BadLevel;

    fn from_str(text: &str) -> Result<Level, BadLevel> {
        let number = text.trim().parse().ok();
        number
            .and_then(Level::new)
            .ok_or_else(|| BadLevel(text.into()))
    }
}
