// SPDX-License-Identifier: GPL-2.0-or-later
//! Writer for the "newc" cpio format, the one that the kernel unpacks as initramfs.
//!
//! Source: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel. Reproducible: times are 0,
//! owners are root, inode numbers count up in writing order.

use std::collections::BTreeSet;
use std::io::{self, Write};

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFCHR: u32 = 0o020_000;

/// Writes one archive. Parents of every path are made on the way; a path is written once.
pub struct Writer<W: Write> {
    out: W,
    written_bytes: u64,
    next_inode: u32,
    seen: BTreeSet<String>,
}

impl<W: Write> Writer<W> {
    /// Starts an archive in `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            written_bytes: 0,
            next_inode: 1,
            seen: BTreeSet::new(),
        }
    }

    /// Adds a folder and its parents (mode 0755).
    pub fn dir(&mut self, path: &str) -> io::Result<()> {
        let path = path.trim_matches('/');
        if path.is_empty() || !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        self.parent_of(path)?;
        self.entry(path, S_IFDIR | 0o755, (0, 0), b"")
    }

    /// Adds a regular file with these permission bits.
    pub fn file(&mut self, path: &str, permissions: u32, data: &[u8]) -> io::Result<()> {
        self.node(path, S_IFREG | permissions, (0, 0), data)
    }

    /// Adds a symbolic link at `path` that points to `target`.
    pub fn symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.node(path, S_IFLNK | 0o777, (0, 0), target.as_bytes())
    }

    /// Adds a character device node (mode 0600).
    pub fn char_device(&mut self, path: &str, major: u32, minor: u32) -> io::Result<()> {
        self.node(path, S_IFCHR | 0o600, (major, minor), b"")
    }

    /// Ends the archive and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.next_inode = 0;
        self.entry("TRAILER!!!", 0, (0, 0), b"")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn node(&mut self, path: &str, mode: u32, device: (u32, u32), data: &[u8]) -> io::Result<()> {
        let path = path.trim_start_matches('/');
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        self.parent_of(path)?;
        self.entry(path, mode, device, data)
    }

    fn parent_of(&mut self, path: &str) -> io::Result<()> {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.dir(parent),
            None => Ok(()),
        }
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), data: &[u8]) -> io::Result<()> {
        let size = u32::try_from(data.len()).map_err(|_| {
            io::Error::other(format!(
                "{name}: {} bytes do not fit in a newc archive",
                data.len()
            ))
        })?;
        let links = if mode & S_IFDIR == S_IFDIR { 2 } else { 1 };
        let name_size = name.len() as u32 + 1;
        let mut header = String::from("070701");
        let fields = [
            self.next_inode,
            mode,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            device.0,
            device.1,
            name_size,
            0,
        ];
        for field in fields {
            header.push_str(&format!("{field:08x}"));
        }
        self.next_inode += 1;
        self.put(header.as_bytes())?;
        self.put(name.as_bytes())?;
        self.put(b"\0")?;
        self.pad()?;
        self.put(data)?;
        self.pad()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written_bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn pad(&mut self) -> io::Result<()> {
        let missing = (4 - self.written_bytes % 4) % 4;
        self.put(&[0; 3][..missing as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut w = Writer::new(Vec::new());
        w.file("usr/bin/tool", 0o755, b"hello").unwrap();
        w.symlink("bin", "usr/bin").unwrap();
        w.char_device("dev/console", 5, 1).unwrap();
        w.file("usr/bin/tool", 0o644, b"a second time").unwrap();
        w.finish().unwrap()
    }

    #[test]
    fn archive_when_listed_by_cpio_has_parents_once() {
        let archive = sample();
        assert_eq!(archive.len() % 4, 0);
        let text = String::from_utf8_lossy(&archive);
        let names: Vec<&str> = text
            .split("070701")
            .skip(1)
            .map(|e| e[104..].split('\0').next().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "usr",
                "usr/bin",
                "usr/bin/tool",
                "bin",
                "dev",
                "dev/console",
                "TRAILER!!!"
            ]
        );
    }

    #[test]
    fn archive_when_built_twice_is_the_same() {
        assert_eq!(sample(), sample());
    }
}
