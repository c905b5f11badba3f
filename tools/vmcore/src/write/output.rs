// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the bytes of a dump go.

use crate::error::{Error, Result};
use crate::source::{FileSource, ReadAt};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A place that takes bytes at offsets.
pub trait Output: Send {
    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// [`Error::NoSpace`] when the target or the limit is full, [`Error::Io`] otherwise.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Makes sure that `bytes` bytes from the start on can be written later, whatever else fills the target.
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    fn reserve(&mut self, bytes: u64) -> Result<()>;

    /// All is written: flush, and find out late errors.
    ///
    /// # Errors
    /// As [`Output::write_at`].
    fn finish(&mut self) -> Result<()>;

    /// Whether a header that is written first can be corrected later. Where it cannot, it is written last.
    fn can_rewrite(&self) -> bool {
        true
    }

    /// What was written, read from the target itself after [`Output::finish`]; none where that is not possible.
    fn read_back(&self) -> Option<Box<dyn ReadAt>> {
        None
    }
}

/// A regular file or a block device.
pub struct FileOutput {
    file: File,
    limit: u64,
    sync: bool,
}

impl FileOutput {
    /// Writes to an open file, at most `limit` bytes; `sync`: [`Output::finish`] waits for the device.
    pub fn new(file: File, limit: Option<u64>, sync: bool) -> FileOutput {
        FileOutput {
            file,
            limit: limit.unwrap_or(u64::MAX),
            sync,
        }
    }
}

pub(crate) fn write_error(offset: u64, bytes: usize, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::NoSpace { at: offset }
        }
        _ => Error::Io {
            what: format!("writing {bytes} bytes of the dump at offset {offset:#x}"),
            source,
        },
    }
}

impl Output for FileOutput {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        if offset.saturating_add(bytes.len() as u64) > self.limit {
            return Err(Error::NoSpace { at: offset });
        }
        let result = self.file.write_all_at(bytes, offset);
        result.map_err(|source| write_error(offset, bytes.len(), source))
    }

    fn reserve(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.limit {
            return Err(Error::NoSpace { at: self.limit });
        }
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // No such call on this file system or device (a block device says EINVAL to a length that is not of whole
            // blocks): write the zeros.
            Err(
                rustix::io::Errno::OPNOTSUPP
                | rustix::io::Errno::NODEV
                | rustix::io::Errno::NOSYS
                | rustix::io::Errno::INVAL,
            ) => {
                let zeros = vec![0; 1 << 20];
                for at in (0..bytes).step_by(zeros.len()) {
                    let now = (bytes - at).min(zeros.len() as u64) as usize;
                    self.write_at(at, &zeros[..now])?;
                }
                Ok(())
            }
            Err(error) => Err(write_error(0, bytes as usize, error.into())),
        }
    }

    fn finish(&mut self) -> Result<()> {
        if !self.sync {
            return Ok(());
        }
        match self.file.sync_all() {
            // Character devices and the like cannot be synced.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            result => result.map_err(|source| write_error(0, 0, source)),
        }
    }

    fn read_back(&self) -> Option<Box<dyn ReadAt>> {
        use rustix::fs::{Advice, FileType, OFlags, fadvise, fcntl_getfl, fstat};
        let flags = fcntl_getfl(&self.file).ok()?;
        let kind = FileType::from_raw_mode(fstat(&self.file).ok()?.st_mode);
        let seekable = matches!(kind, FileType::RegularFile | FileType::BlockDevice);
        if !seekable || !flags.contains(OFlags::RDWR) {
            return None;
        }
        if self.sync {
            // From the device, not from memory. Where this is not possible reading still finds mistakes above it.
            let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
        }
        let file = self.file.try_clone().ok()?;
        FileSource::new(file)
            .ok()
            .map(|source| Box::new(source) as Box<dyn ReadAt>)
    }
}
