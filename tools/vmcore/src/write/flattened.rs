// SPDX-License-Identifier: GPL-2.0-or-later
//! Output into a pipe, as a flattened stream.

use crate::error::Result;
use crate::flattened::{END, header};
use crate::write::output::{Output, write_error};
use std::io::Write;

/// A stream of pieces. The dump's own header comes last, so that a stream that was cut has none.
pub struct FlattenedOutput<W: Write + Send> {
    stream: W,
    started: bool,
    position: u64,
    limit: u64,
}

impl<W: Write + Send> FlattenedOutput<W> {
    /// Writes to a stream, at most `limit` bytes.
    pub fn new(stream: W, limit: Option<u64>) -> FlattenedOutput<W> {
        FlattenedOutput {
            stream,
            started: false,
            position: 0,
            limit: limit.unwrap_or(u64::MAX),
        }
    }

    /// The stream, to end what it is wrapped in.
    pub fn into_inner(self) -> W {
        self.stream
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.position.saturating_add(bytes.len() as u64);
        if end > self.limit {
            return Err(crate::Error::NoSpace { at: self.position });
        }
        let result = self.stream.write_all(bytes);
        result.map_err(|source| write_error(self.position, bytes.len(), source))?;
        self.position = end;
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        if !self.started {
            self.started = true;
            self.put(&header())?;
        }
        Ok(())
    }
}

impl<W: Write + Send> Output for FlattenedOutput<W> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.start()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let mut piece = [0; 16];
        piece[..8].copy_from_slice(&offset.to_be_bytes());
        piece[8..].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.put(&piece)?;
        self.put(bytes)
    }

    fn reserve(&mut self, _bytes: u64) -> Result<()> {
        self.start()
    }

    fn finish(&mut self) -> Result<()> {
        self.start()?;
        self.put(&END)?;
        self.stream
            .flush()
            .map_err(|source| write_error(self.position, 0, source))
    }

    fn can_rewrite(&self) -> bool {
        false
    }
}
