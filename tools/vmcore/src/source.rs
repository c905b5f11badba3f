// SPDX-License-Identifier: GPL-2.0-or-later
//! Bytes at offsets: a file, or a file inside a flattened stream.

mod lease;
mod map;

pub use map::Map;

use crate::error::{Error, Result};
use lease::Lease;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

/// Something that has bytes at offsets and a length.
pub trait ReadAt: Send + Sync {
    /// Fills `buf` from byte `offset` on.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the source ends first, [`Error::Io`] when the system refuses.
    fn read_at(&self, offset: u64, buf: &mut [u8], what: &'static str) -> Result<()>;

    /// Length in bytes.
    fn len(&self) -> u64;

    /// Maps a part, where that is faster than reading and safe.
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

/// A regular file, a block device, /proc/vmcore or /proc/kcore, read with pread; /proc/vmcore and what the page cache has of a regular
/// file can also be mapped.
pub struct FileSource {
    file: Arc<File>,
    bytes: u64,
    in_procfs: bool,
    lease: Mutex<Leased>,
}

/// How far it can be relied on that nobody changes the file.
#[derive(Debug)]
enum Leased {
    NotTried,
    Yes(Arc<Lease>),
    /// Refused, or somebody wanted to write: not tried again.
    No,
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
            file: Arc::new(file),
            bytes,
            in_procfs,
            lease: Mutex::new(Leased::NotTried),
        })
    }

    /// The lease of the file, as long as it holds.
    fn lease(&self) -> Option<Arc<Lease>> {
        let mut state = self.lease.lock().ok()?;
        if matches!(*state, Leased::NotTried) {
            // It may have been cut before.
            let whole = |_: &Lease| self.file.metadata().is_ok_and(|m| m.len() >= self.bytes);
            *state = Lease::take(&self.file)
                .filter(whole)
                .map_or(Leased::No, |lease| Leased::Yes(Arc::new(lease)));
        }
        match &*state {
            Leased::Yes(lease) if lease.holds() => Some(Arc::clone(lease)),
            _ => {
                // Given back as soon as the last window is gone.
                *state = Leased::No;
                None
            }
        }
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
        if self.in_procfs {
            // Of all files there only vmcore takes a mapping; kcore and the rest refuse.
            return Map::new(&self.file, offset, bytes);
        }
        Map::leased(&self.file, offset, bytes, self.lease()?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    /// Far below the time after which the kernel takes a lease away.
    const SOON: Duration = Duration::from_secs(20);

    /// Some pages and a bit, with no two words the same.
    fn file(name: &str) -> (PathBuf, Vec<u8>) {
        let path =
            std::env::temp_dir().join(format!("vmcore-source-{name}-{}", std::process::id()));
        let bytes: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &bytes).expect("temporary file");
        (path, bytes)
    }

    fn open(path: &PathBuf) -> FileSource {
        FileSource::new(File::open(path).expect("file")).expect("source")
    }

    #[test]
    fn map_when_the_file_is_at_rest_shows_it_until_somebody_wants_to_write() {
        let (path, bytes) = file("rest");
        let source = open(&path);
        for offset in [0, 4096, 4660] {
            let map = source
                .map(offset, 8192)
                .expect("what was just written is in the page cache");
            assert!(*map == bytes[offset as usize..][..8192], "from {offset}");
        }
        let map = source.map(0, 4096).expect("again");
        let (done, finished) = mpsc::channel();
        std::thread::spawn({
            let path = path.clone();
            move || {
                // Waits as long as it may be looked at the file.
                OpenOptions::new()
                    .write(true)
                    .truncate(true)
                    .open(path)
                    .expect("emptied");
                let _ = done.send(());
            }
        });
        let start = Instant::now();
        while map.is_valid() {
            assert!(
                start.elapsed() < SOON,
                "the lease does not say that somebody waits"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(
            *map == bytes[..4096],
            "nothing changes before the map is gone"
        );
        assert!(finished.try_recv().is_err());
        assert!(source.map(0, 4096).is_none(), "no more of it");
        assert!(finished.try_recv().is_err(), "the first map is still there");
        drop(map);
        finished.recv_timeout(SOON).expect("the writer goes on");
        let error = source
            .read_at(0, &mut [0; 4096], "test")
            .expect_err("empty now");
        assert!(matches!(error, Error::Truncated { .. }), "{error}");
        std::fs::remove_file(path).expect("removed");
    }

    #[test]
    fn map_when_somebody_writes_or_the_file_was_cut_is_none() {
        let (path, bytes) = file("writer");
        let source = open(&path);
        let writer = OpenOptions::new().write(true).open(&path).expect("writer");
        assert!(source.map(0, 4096).is_none());
        let mut page = [0; 4096];
        source
            .read_at(4096, &mut page, "test")
            .expect("reading is possible");
        assert!(page == bytes[4096..8192]);

        let source = open(&path);
        writer.set_len(4096).expect("cut");
        drop(writer);
        assert!(source.map(0, 4096).is_none(), "shorter than it was");
        std::fs::remove_file(path).expect("removed");
    }
}
