// SPDX-License-Identifier: GPL-2.0-or-later
//! Follows a console log while QEMU writes it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// Reads what has been appended since the last look.
pub(super) struct Tail {
    path: PathBuf,
    read_bytes: u64,
    partial: Vec<u8>,
}

impl Tail {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            read_bytes: 0,
            partial: Vec::new(),
        }
    }

    /// The lines that have become complete. A log that is not there yet has none.
    pub(super) fn lines(&mut self) -> Vec<String> {
        if self.read_more().is_err() {
            return Vec::new();
        }
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let complete: Vec<u8> = self.partial.drain(..=end).collect();
        String::from_utf8_lossy(&complete)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn read_more(&mut self) -> std::io::Result<()> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read_bytes))?;
        self.read_bytes += file.read_to_end(&mut self.partial)? as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_when_a_line_comes_in_two_pieces_gives_it_once() {
        let path = std::env::temp_dir().join(format!("kdumpkit-tail-{}", std::process::id()));
        let mut file = File::create(&path).unwrap();
        let mut tail = Tail::new(path.clone());
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.lines(), ["one"]);
        assert!(tail.lines().is_empty());
        file.write_all(b"o\r\n").unwrap();
        assert_eq!(tail.lines(), ["two"]);
        std::fs::remove_file(path).unwrap();
    }
}
