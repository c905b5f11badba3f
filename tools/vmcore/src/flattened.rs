// SPDX-License-Identifier: GPL-2.0-or-later
//! Flattened files: a dump as a stream of pieces, for pipes.
//!
//! A header of 4096 bytes {"makedumpfile", i64 type 1, i64 version 1}, then pieces {i64 offset, i64 size, bytes}, both
//! big endian, and −1, −1 at the end. A later piece replaces what an earlier one said about the same bytes.

use crate::bytes::array;
use crate::error::{Error, Result};
use crate::source::ReadAt;
use std::collections::BTreeMap;
use std::io::{self, Read};

/// The first bytes of the header.
pub const SIGNATURE: &[u8; 16] = b"makedumpfile\0\0\0\0";
/// Length of the header.
pub const HEADER_BYTES: usize = 4096;
pub(crate) const END: [u8; 16] = [0xff; 16];
const TYPE: i64 = 1;
const VERSION: i64 = 1;
const PIECE_HEADER_BYTES: u64 = 16;
/// Pieces that are indexed at most.
const MAX_PIECES: usize = 8 << 20;

/// The header.
pub fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..16].copy_from_slice(SIGNATURE);
    header[16..24].copy_from_slice(&TYPE.to_be_bytes());
    header[24..32].copy_from_slice(&VERSION.to_be_bytes());
    header
}

fn check_header(header: &[u8]) -> Result<()> {
    let word = |at| array(header, at).map(i64::from_be_bytes).unwrap_or(-1);
    if header.starts_with(SIGNATURE) && word(16) == TYPE && word(24) == VERSION {
        return Ok(());
    }
    Err(Error::format(
        "flattened header",
        format!("type {} version {}, valid is 1 and 1", word(16), word(24)),
    ))
}

/// Offset and length of a piece; none for the end mark.
fn piece(raw: &[u8; PIECE_HEADER_BYTES as usize]) -> Result<Option<(u64, u64)>> {
    if *raw == END {
        return Ok(None);
    }
    let word = |at| array(raw, at).map(i64::from_be_bytes).unwrap_or(-1);
    match (u64::try_from(word(0)), u64::try_from(word(8))) {
        (Ok(offset), Ok(bytes)) if offset.checked_add(bytes).is_some() => Ok(Some((offset, bytes))),
        _ => Err(Error::format(
            "flattened piece",
            format!(
                "offset {} and size {}, valid are numbers from 0 on",
                word(0),
                word(8)
            ),
        )),
    }
}

/// A flattened file read as if it were the dump inside it.
pub struct Flattened<S> {
    source: S,
    /// By start: length and place in the file; disjoint.
    pieces: BTreeMap<u64, (u64, u64)>,
    bytes: u64,
}

impl<S: ReadAt> Flattened<S> {
    /// Indexes the pieces.
    ///
    /// # Errors
    /// [`Error::Truncated`] without an end mark, [`Error::Format`] for impossible pieces.
    pub fn new(source: S) -> Result<Flattened<S>> {
        let limit = HEADER_BYTES as u64;
        check_header(&source.read_vec(0, limit, limit, "flattened header")?)?;
        let mut flattened = Flattened {
            source,
            pieces: BTreeMap::new(),
            bytes: 0,
        };
        let mut at = limit;
        loop {
            let mut raw = [0; PIECE_HEADER_BYTES as usize];
            flattened
                .source
                .read_at(at, &mut raw, "flattened piece (no end mark)")?;
            let Some((offset, bytes)) = piece(&raw)? else {
                return Ok(flattened);
            };
            at += PIECE_HEADER_BYTES;
            flattened.source.check(at, bytes, "flattened piece")?;
            flattened.insert(offset, bytes, at)?;
            at += bytes;
        }
    }

    fn insert(&mut self, start: u64, bytes: u64, at: u64) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        if self.pieces.len() >= MAX_PIECES {
            return Err(Error::format("flattened file", "more than 2^23 pieces"));
        }
        let end = start + bytes;
        // What reaches into the new piece from the left keeps its left part, and its right part if it goes beyond.
        if let Some((&left, &(left_bytes, left_at))) = self.pieces.range(..start).next_back() {
            if left + left_bytes > start {
                self.pieces.insert(left, (start - left, left_at));
                if left + left_bytes > end {
                    self.pieces
                        .insert(end, (left + left_bytes - end, left_at + (end - left)));
                }
            }
        }
        while let Some((&next, &(next_bytes, next_at))) = self.pieces.range(start..end).next() {
            self.pieces.remove(&next);
            if next + next_bytes > end {
                self.pieces
                    .insert(end, (next + next_bytes - end, next_at + (end - next)));
            }
        }
        self.pieces.insert(start, (bytes, at));
        self.bytes = self.bytes.max(end);
        Ok(())
    }
}

impl<S: ReadAt> ReadAt for Flattened<S> {
    fn read_at(&self, offset: u64, buf: &mut [u8], what: &'static str) -> Result<()> {
        self.check(offset, buf.len() as u64, what)?;
        let end = offset + buf.len() as u64;
        let left = self.pieces.range(..=offset).next_back();
        let first = left.map_or(offset, |(&start, _)| start);
        let mut filled = offset;
        for (&start, &(bytes, at)) in self.pieces.range(first..end) {
            let to = (start + bytes).min(end);
            if start > filled || to <= filled {
                break;
            }
            let part = &mut buf[(filled - offset) as usize..(to - offset) as usize];
            self.source.read_at(at + (filled - start), part, what)?;
            filled = to;
        }
        // Writers fill all that they use. A stream of a few bytes must not pass for a dump of terabytes.
        if filled < end {
            return Err(Error::format(
                what,
                format!("no piece of the flattened file has offset {filled:#x}"),
            ));
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.bytes
    }
}

/// Reads a flattened stream to its end, and gives each piece to `write`, in parts of at most 1 MiB.
///
/// # Errors
/// As [`Flattened::new`], and what `write` gives.
pub fn rearrange(
    mut stream: impl Read,
    mut write: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut position = 0;
    let mut read = |buf: &mut [u8]| {
        let result = stream
            .read_exact(buf)
            .map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => Error::Truncated {
                    what: "flattened stream",
                    end: position + buf.len() as u64,
                    file_bytes: position,
                },
                _ => Error::Io {
                    what: format!("reading the flattened stream at {position:#x}"),
                    source,
                },
            });
        position += buf.len() as u64;
        result
    };
    let mut header = [0; HEADER_BYTES];
    read(&mut header)?;
    check_header(&header)?;
    let mut buf = vec![0; 1 << 20];
    loop {
        let mut raw = [0; PIECE_HEADER_BYTES as usize];
        read(&mut raw)?;
        let Some((mut offset, mut bytes)) = piece(&raw)? else {
            return Ok(());
        };
        while bytes > 0 {
            let now = bytes.min(buf.len() as u64) as usize;
            read(&mut buf[..now])?;
            write(offset, &buf[..now])?;
            offset += now as u64;
            bytes -= now as u64;
        }
    }
}
