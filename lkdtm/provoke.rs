// SPDX-License-Identifier: GPL-2.0

//! debugfs: /sys/kernel/debug/provoke-crash/, a file for each crash point, driven as the kernel's own LKDTM is.
//!
//! Documented in Documentation/ABI/testing/debugfs-lkdtm.

use crate::{
    arm::{self, Armed},
    complain,
    points::{Point, POINTS},
    types::TYPES,
};
use kernel::{
    debugfs::{Dir, File, Reader, Writer},
    fmt,
    prelude::*,
    str::CString,
    sync::{new_mutex, Mutex},
    uaccess::UserSliceReader,
};

/// The longest text that is written to a file.
const MAX_BYTES: usize = 256;

/// What is armed: at most one crash at each point, any number at places that are no points.
///
/// Files go before the folder; dropping a file waits for those who use it, then disarms.
pub(crate) struct Provoke {
    points: KVec<Pin<KBox<File<PointFile>>>>,
    symbols: Pin<KBox<File<SymbolFile>>>,
    _dir: Dir,
}

#[pin_data]
struct PointFile {
    point: &'static Point,
    #[pin]
    armed: Mutex<Option<Armed>>,
}

#[pin_data]
struct SymbolFile {
    #[pin]
    armed: Mutex<KVec<Armed>>,
}

impl Provoke {
    /// Makes the folder and its files, nothing armed.
    pub(crate) fn new() -> Result<Self> {
        if kdump::debugfs::exists(c"provoke-crash") {
            pr_err!("debugfs already has provoke-crash/: the kernel's own LKDTM is built in; only one can be used\n");
            return Err(EBUSY);
        }
        let dir = Dir::new(c"provoke-crash");
        let mut points = KVec::new();
        for point in POINTS {
            let name = CString::try_from_fmt(fmt!("{}", point.name))?;
            let data = pin_init!(PointFile { point, armed <- new_mutex!(None) });
            let file = KBox::pin_init(dir.read_write_file(&name, data), GFP_KERNEL)?;
            points.push(file, GFP_KERNEL)?;
        }
        let data = pin_init!(SymbolFile { armed <- new_mutex!(KVec::new()) });
        let symbols = KBox::pin_init(dir.read_write_file(c"SYMBOL", data), GFP_KERNEL)?;
        Ok(Self {
            points,
            symbols,
            _dir: dir,
        })
    }

    /// Hands over what the module parameters armed, so that it can be read back and disarmed.
    pub(crate) fn keep(&self, point: Option<&'static Point>, armed: Armed) -> Result {
        let file = point.and_then(|p| self.points.iter().find(|f| core::ptr::eq(f.point, p)));
        match file {
            Some(file) => {
                *file.armed.lock() = Some(armed);
                Ok(())
            }
            None => Ok(self.symbols.armed.lock().push(armed, GFP_KERNEL)?),
        }
    }
}

impl Reader for PointFile {
    fn read_from_slice(&self, reader: &mut UserSliceReader) -> Result {
        with_text(reader, |text| {
            if text == "none" {
                *self.armed.lock() = None;
                return Ok(());
            }
            let spec = complain::spec(text)?;
            if self.point.is_direct() {
                return arm::direct(self.point, &spec);
            }
            let mut armed = self.armed.lock();
            // Off first: two probes at one place would both count.
            *armed = None;
            *armed = Some(arm::point(self.point, &spec)?);
            Ok(())
        })
    }
}

impl Writer for PointFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list_types(f)?;
        match &*self.armed.lock() {
            Some(armed) => f.write_fmt(fmt!("Armed: {armed}\n")),
            None => writeln!(f, "Armed: none"),
        }
    }
}

impl Reader for SymbolFile {
    fn read_from_slice(&self, reader: &mut UserSliceReader) -> Result {
        with_text(reader, |text| {
            let mut all = self.armed.lock();
            if text == "none" {
                *all = KVec::new();
                return Ok(());
            }
            let Some((name, rest)) = text.split_once(' ') else {
                pr_err!("write [module:]symbol[+offset] TYPE [KEY=VALUE…], or none\n");
                return Err(EINVAL);
            };
            let spec = complain::spec(rest)?;
            all.push(complain::place(name, &spec)?, GFP_KERNEL)?;
            Ok(())
        })
    }
}

impl Writer for SymbolFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list_types(f)?;
        let all = self.armed.lock();
        for armed in all.iter() {
            f.write_fmt(fmt!("Armed: {armed}\n"))?;
        }
        if all.is_empty() {
            writeln!(f, "Armed: none")?;
        }
        Ok(())
    }
}

/// As the kernel's own LKDTM lists them, which its selftest reads.
fn list_types(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "Available crash types:")?;
    for t in TYPES {
        writeln!(f, "{}", t.name)?;
        for alias in t.aliases {
            writeln!(f, "{alias}")?;
        }
    }
    Ok(())
}

fn with_text(reader: &mut UserSliceReader, run: impl FnOnce(&str) -> Result) -> Result {
    let mut buffer = [0u8; MAX_BYTES];
    let text = buffer.get_mut(..reader.len()).ok_or(EINVAL)?;
    reader.read_slice(text)?;
    run(core::str::from_utf8(text).map_err(|_| EINVAL)?.trim())
}
