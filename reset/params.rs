// SPDX-License-Identifier: GPL-2.0
//! The text parameters of reset_devices: `skip=`, `only=` and `methods=`.
//!
//! Hostile input: every error names the position of the first byte that does not fit. No allocation, `core` only.

use super::topology::Address;
use core::fmt;

/// Why a parameter was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Offset of the first byte that does not fit, from 0.
    pub position: usize,
    /// What would have fitted there.
    pub expected: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {}: expected {}", self.position, self.expected)
    }
}

const ADDRESS: &str =
    "an address like 0000:03:00.0, 03:00.0 or 03:00, in hexadecimal, separated by commas";
const BUS: &str = "a bus number from 00 to ff";
const DEVICE: &str = "a device number from 00 to 1f";
const FUNCTION: &str = "a function number from 0 to 7";
const SEPARATOR: &str = "a comma or the end of the list";
const METHOD: &str = "one of hot, flr, pm, busmaster, separated by commas";

/// A function, or with `function` absent every function of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pattern {
    address: Address,
    any_function: bool,
}

impl Pattern {
    fn matches(self, address: Address) -> bool {
        let mask = if self.any_function { !7 } else { !0 };
        let Address { domain, bus, devfn } = self.address;
        (address.domain, address.bus, address.devfn & mask) == (domain, bus, devfn)
    }
}

/// A checked list of addresses, still in its text form.
///
/// # Invariants
///
/// The text parses.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddressList<'a>(&'a [u8]);

impl<'a> AddressList<'a> {
    /// Checks `text`; white space at the ends (a shell's newline) is allowed, the empty list as well.
    ///
    /// # Errors
    ///
    /// [`ParseError`] with the position of the first byte that does not fit.
    pub fn parse(text: &'a [u8]) -> Result<Self, ParseError> {
        let list = Self(trim_end(text));
        for pattern in list.patterns() {
            pattern?;
        }
        // INVARIANT: every pattern was parsed just now.
        Ok(list)
    }

    /// Whether the list names `address`.
    pub fn contains(&self, address: Address) -> bool {
        self.patterns().any(|p| p.is_ok_and(|p| p.matches(address)))
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first entry that names none of `known`: most likely a slip of the pen.
    pub fn unmatched(&self, known: impl Iterator<Item = Address> + Clone) -> Option<Address> {
        self.patterns()
            .flatten()
            .find(|p| !known.clone().any(|address| p.matches(address)))
            .map(|p| p.address)
    }

    fn patterns(&self) -> Patterns<'a> {
        Patterns(Cursor {
            text: self.0,
            position: 0,
        })
    }
}

struct Patterns<'a>(Cursor<'a>);

impl Iterator for Patterns<'_> {
    type Item = Result<Pattern, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.at_end() {
            return None;
        }
        let result = self.0.pattern().and_then(|pattern| {
            self.0.separator()?;
            Ok(pattern)
        });
        if result.is_err() {
            self.0.position = self.0.text.len();
        }
        Some(result)
    }
}

struct Cursor<'a> {
    text: &'a [u8],
    position: usize,
}

impl Cursor<'_> {
    fn at_end(&self) -> bool {
        self.position == self.text.len()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let hit = self.text.get(self.position) == Some(&byte);
        self.position += usize::from(hit);
        hit
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, ParseError> {
        Err(ParseError {
            position: self.position,
            expected,
        })
    }

    /// A hexadecimal number of at most `digits` digits, not above `max`; on failure stands where it began.
    fn hex(&mut self, digits: usize, max: u32, expected: &'static str) -> Result<u32, ParseError> {
        let rest = self.text.get(self.position..).unwrap_or(&[]);
        let mut value: u64 = 0;
        let mut length = 0;
        while let Some(digit) = rest.get(length).and_then(|b| char::from(*b).to_digit(16)) {
            if length == digits {
                return self.fail(expected);
            }
            value = value << 4 | u64::from(digit);
            length += 1;
        }
        match u32::try_from(value) {
            Ok(value) if length > 0 && value <= max => {
                self.position += length;
                Ok(value)
            }
            _ => self.fail(expected),
        }
    }

    fn pattern(&mut self) -> Result<Pattern, ParseError> {
        let begin = self.position;
        let first = self.hex(8, u32::MAX, ADDRESS)?;
        if !self.eat(b':') {
            return self.fail(ADDRESS);
        }
        let second_at = self.position;
        let second = self.hex(8, u32::MAX, BUS)?;
        let (domain, bus, bus_at, device, device_at) = if self.eat(b':') {
            let device_at = self.position;
            let device = self.hex(8, u32::MAX, DEVICE)?;
            (first, second, second_at, device, device_at)
        } else {
            (0, first, begin, second, second_at)
        };
        let in_range = |value: u32, max: u32, position, expected| match u8::try_from(value) {
            Ok(value) if u32::from(value) <= max => Ok(value),
            _ => Err(ParseError { position, expected }),
        };
        let bus = in_range(bus, 0xff, bus_at, BUS)?;
        let device = in_range(device, 0x1f, device_at, DEVICE)?;
        let any_function = !self.eat(b'.');
        let function = if any_function {
            0
        } else {
            // At most 7, so nothing is lost.
            self.hex(1, 7, FUNCTION)? as u8
        };
        let address = Address::new(domain, bus, device, function);
        Ok(Pattern {
            address,
            any_function,
        })
    }

    fn separator(&mut self) -> Result<(), ParseError> {
        if self.at_end() {
            return Ok(());
        }
        if !self.eat(b',') {
            return self.fail(SEPARATOR);
        }
        if self.at_end() {
            return self.fail(ADDRESS);
        }
        Ok(())
    }
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|b| !b.is_ascii_whitespace());
    &text[..end.map_or(0, |last| last + 1)]
}

/// `skip=` and `only=` together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// Never touched; wins over `only`.
    pub skip: AddressList<'a>,
    /// When not empty, nothing else is touched.
    pub only: AddressList<'a>,
}

impl Selection<'_> {
    /// Whether `skip=` names `address`.
    pub fn skips(&self, address: Address) -> bool {
        self.skip.contains(address)
    }

    /// Whether `only=` leaves `address` in.
    pub fn names(&self, address: Address) -> bool {
        self.only.is_empty() || self.only.contains(address)
    }
}

/// Which methods may be used; the order is always from the strongest to the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods {
    /// Hot reset through the port above.
    pub hot: bool,
    /// Function level reset.
    pub flr: bool,
    /// D3hot and back to D0.
    pub pm: bool,
    /// Clear Bus Master.
    pub bus_master: bool,
}

impl Methods {
    /// Everything, the default.
    pub const ALL: Self = Self {
        hot: true,
        flr: true,
        pm: true,
        bus_master: true,
    };

    const NONE: Self = Self {
        hot: false,
        flr: false,
        pm: false,
        bus_master: false,
    };

    /// Reads a list like `hot,flr`.
    ///
    /// # Errors
    ///
    /// [`ParseError`] with the position of the first word that is not a method; an empty list is one.
    pub fn parse(text: &[u8]) -> Result<Self, ParseError> {
        let text = trim_end(text);
        let mut methods = Self::NONE;
        let mut position = 0;
        for word in text.split(|b| *b == b',') {
            match word {
                b"hot" => methods.hot = true,
                b"flr" => methods.flr = true,
                b"pm" => methods.pm = true,
                b"busmaster" => methods.bus_master = true,
                _ => {
                    return Err(ParseError {
                        position,
                        expected: METHOD,
                    });
                }
            }
            position += word.len() + 1;
        }
        Ok(methods)
    }
}
