// SPDX-License-Identifier: GPL-2.0-or-later
//! Bytes at offsets: a file, or a file inside a flattened stream.

mod map;

pub use map::Map;

use crate::error::{Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Something that has bytes at offsets and a length.
pub trait ReadAt: Send + Sync {
    /// Fills `buf` from byte `offset` on.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the source ends first, [`Error::Io`] when the system refuses.
    fn read_at(&self, offset: u64, buf: &mut [u8], what: &'static str) -> Result<()>;

    /// Length in bytes.
    fn len(&self) -> u64;

    /// Maps a part, where that is faster than reading and safe. Both numbers are multiples of the page size.
    fn map(&self, _offset: u64, _bytes: usize) -> Option<Map> {
        None
    }

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that `bytes` bytes from `offset` on exist, before anything is allocated for them.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    fn check(&self, offset: u64, bytes: u64, what: &'static str) -> Result<()> {
        match offset.checked_add(bytes) {
            Some(end) if end <= self.len() => Ok(()),
            end => Err(Error::Truncated {
                what,
                end: end.unwrap_or(u64::MAX),
                file_bytes: self.len(),
            }),
        }
    }

    /// `bytes` bytes from `offset` on, after checking that they exist and are at most `limit`.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Format`] above the limit, [`Error::Io`].
    fn read_vec(&self, offset: u64, bytes: u64, limit: u64, what: &'static str) -> Result<Vec<u8>> {
        if bytes > limit {
            return Err(Error::format(
                what,
                format!("{bytes} bytes long, at most {limit} are valid"),
            ));
        }
        self.check(offset, bytes, what)?;
        let mut buf = vec![0; bytes as usize];
        self.read_at(offset, &mut buf, what)?;
        Ok(buf)
    }
}

/// A regular file, a block device, /proc/vmcore or /proc/kcore, read with pread; /proc/vmcore can also be mapped.
///
/// Files are not mapped: another process could cut them, which would end this one.
pub struct FileSource {
    file: File,
    bytes: u64,
    in_procfs: bool,
}

/// `f_type` of procfs (include/uapi/linux/magic.h).
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

impl FileSource {
    /// Wraps an open file.
    ///
    /// # Errors
    /// [`Error::Io`] when the length cannot be found.
    pub fn new(file: File) -> Result<FileSource> {
        use std::io::{Seek, SeekFrom};
        let meta = file.metadata().map_err(|source| Error::Io {
            what: "stat of the dump".into(),
            source,
        })?;
        let bytes = match meta.len() {
            // Block devices have length 0 in stat but can be sought.
            0 => (&file).seek(SeekFrom::End(0)).unwrap_or(0),
            bytes => bytes,
        };
        let in_procfs = rustix::fs::fstatfs(&file).is_ok_and(|fs| fs.f_type == PROC_SUPER_MAGIC);
        Ok(FileSource {
            file,
            bytes,
            in_procfs,
        })
    }
}

impl ReadAt for FileSource {
    fn read_at(&self, offset: u64, buf: &mut [u8], what: &'static str) -> Result<()> {
        self.file.read_exact_at(buf, offset).map_err(|source| {
            if source.kind() == std::io::ErrorKind::UnexpectedEof {
                return Error::Truncated {
                    what,
                    end: offset.saturating_add(buf.len() as u64),
                    file_bytes: self.bytes,
                };
            }
            Error::Io {
                what: format!(
                    "reading {} bytes of {what} at offset {offset:#x}",
                    buf.len()
                ),
                source,
            }
        })
    }

    fn len(&self) -> u64 {
        self.bytes
    }

    fn map(&self, offset: u64, bytes: usize) -> Option<Map> {
        // Of all files in procfs only vmcore takes a mapping; kcore and the rest refuse.
        self.in_procfs
            .then(|| Map::new(&self.file, offset, bytes))
            .flatten()
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, offset: u64, buf: &mut [u8], what: &'static str) -> Result<()> {
        self.check(offset, buf.len() as u64, what)?;
        let start = offset as usize;
        buf.copy_from_slice(&self[start..start + buf.len()]);
        Ok(())
    }

    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }
}
