// SPDX-License-Identifier: GPL-2.0-or-later
//! LZO1X decompression, written from the description of the format in the kernel's Documentation/staging/lzo.rst (bitstream
//! version 0, which is all that dumps have).
//!
//! The stream is a sequence of instructions. Each says how many bytes to copy from how far back in the output, and how many
//! literals follow; what an instruction below 16 means depends on how many literals the one before brought.

use std::fmt;

/// What is wrong with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LzoError {
    /// It ends within an instruction or its literals, or without the end mark.
    InputOverrun,
    /// It has more than the output holds.
    OutputOverrun,
    /// A copy from before the start of the output.
    LookbehindOverrun,
    /// It has less than the output holds.
    OutputNotFull,
    /// Bytes behind the end mark.
    InputNotConsumed,
}

impl fmt::Display for LzoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LzoError::InputOverrun => "the stream ends before its end mark",
            LzoError::OutputOverrun => "more output than a page",
            LzoError::LookbehindOverrun => "a copy from before the start",
            LzoError::OutputNotFull => "less output than a page",
            LzoError::InputNotConsumed => "bytes behind the end mark",
        })
    }
}

/// Literals that the instruction before brought: 0 to 3 in its last two bits, or more by an instruction of their own.
const MANY_LITERALS: usize = 4;

/// The stream and the output, with a place in each.
struct State<'a> {
    input: &'a [u8],
    at: usize,
    out: &'a mut [u8],
    filled: usize,
}

/// Decompresses a stream that fills `out` exactly.
///
/// # Errors
/// Everything that keeps the stream from being one of `out.len()` bytes; `out` is filled in part then.
pub fn decompress(input: &[u8], out: &mut [u8]) -> Result<(), LzoError> {
    let mut state = State {
        input,
        at: 0,
        out,
        filled: 0,
    };
    let mut literals = state.first()?;
    loop {
        match state.instruction(literals)? {
            Some(now) => literals = now,
            None if state.at < input.len() => return Err(LzoError::InputNotConsumed),
            None if state.filled < state.out.len() => return Err(LzoError::OutputNotFull),
            None => return Ok(()),
        }
    }
}

impl State<'_> {
    #[inline]
    fn byte(&mut self) -> Result<usize, LzoError> {
        let byte = *self.input.get(self.at).ok_or(LzoError::InputOverrun)?;
        self.at += 1;
        Ok(byte.into())
    }

    /// A length that did not fit into its instruction: each zero byte is 255, the first other one ends it.
    fn long(&mut self, base: usize) -> Result<usize, LzoError> {
        let mut length = base;
        loop {
            match self.byte()? {
                0 => length += 255,
                last => return Ok(length + last),
            }
            // The input is finite, so this ends; what it says is checked against the output's room.
        }
    }

    #[inline]
    fn little_endian(&mut self) -> Result<usize, LzoError> {
        Ok(self.byte()? | self.byte()? << 8)
    }

    #[inline]
    fn literals(&mut self, count: usize) -> Result<(), LzoError> {
        let from = self.input.get(self.at..self.at + count);
        let to = self.out.get_mut(self.filled..self.filled + count);
        let from = from.ok_or(LzoError::InputOverrun)?;
        to.ok_or(LzoError::OutputOverrun)?.copy_from_slice(from);
        self.at += count;
        self.filled += count;
        Ok(())
    }

    /// Copies from `distance` bytes back; both places may overlap, which repeats a pattern.
    #[inline]
    fn copy(&mut self, distance: usize, count: usize) -> Result<(), LzoError> {
        let from = self
            .filled
            .checked_sub(distance)
            .ok_or(LzoError::LookbehindOverrun)?;
        let end = self.filled + count;
        if end > self.out.len() {
            return Err(LzoError::OutputOverrun);
        }
        if distance >= count {
            self.out.copy_within(from..from + count, self.filled);
        } else if distance == 1 {
            let byte = self.out[from];
            self.out[self.filled..end].fill(byte);
        } else {
            for i in self.filled..end {
                self.out[i] = self.out[i - distance];
            }
        }
        self.filled = end;
        Ok(())
    }

    /// The first byte may bring literals without anything to copy.
    fn first(&mut self) -> Result<usize, LzoError> {
        let first = self.input.first().copied().ok_or(LzoError::InputOverrun)?;
        if first < 18 {
            // An instruction like any other; 17 would be the bitstream version of LZO-RLE.
            return Ok(0);
        }
        self.at = 1;
        let count = usize::from(first) - 17;
        self.literals(count)?;
        Ok(count.min(MANY_LITERALS))
    }

    /// One instruction after one that brought `before` literals. Gives how many this one brought; none at the end mark.
    #[inline]
    fn instruction(&mut self, before: usize) -> Result<Option<usize>, LzoError> {
        let byte = self.byte()?;
        let (distance, count, tail) = match byte {
            0..16 if before == 0 => {
                let count = match byte {
                    0 => self.long(15)? + 3,
                    byte => byte + 3,
                };
                self.literals(count)?;
                return Ok(Some(MANY_LITERALS));
            }
            0..16 => {
                let high = self.byte()?;
                let near = (high << 2) + (byte >> 2) + 1;
                match before {
                    MANY_LITERALS => (near + 2048, 3, byte & 3),
                    _ => (near, 2, byte & 3),
                }
            }
            16..32 => {
                let count = match byte & 7 {
                    0 => self.long(7)?,
                    count => count,
                };
                let low = self.little_endian()?;
                let distance = 16384 + ((byte & 8) << 11) + (low >> 2);
                if distance == 16384 {
                    // The end mark has a length of 3 and no literals.
                    return match (count, low & 3) {
                        (1, 0) => Ok(None),
                        _ => Err(LzoError::LookbehindOverrun),
                    };
                }
                (distance, count + 2, low & 3)
            }
            32..64 => {
                let count = match byte & 31 {
                    0 => self.long(31)?,
                    count => count,
                };
                let low = self.little_endian()?;
                ((low >> 2) + 1, count + 2, low & 3)
            }
            _ => {
                let high = self.byte()?;
                let count = if byte < 128 {
                    3 + (byte >> 5 & 1)
                } else {
                    5 + (byte >> 5 & 3)
                };
                ((high << 3) + (byte >> 2 & 7) + 1, count, byte & 3)
            }
        };
        self.copy(distance, count)?;
        self.literals(tail)?;
        Ok(Some(tail))
    }
}
