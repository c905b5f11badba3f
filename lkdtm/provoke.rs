// SPDX-License-Identifier: GPL-2.0

//! debugfs: /sys/kernel/debug/provoke-crash/, a file for each crash point, driven as the kernel's own LKDTM is.
//!
//! Documented in Documentation/ABI/testing/debugfs-lkdtm.

use crate::{
    arm, complain,
    points::{Point, POINTS},
    registry::Registry,
    target::Target,
    types::TYPES,
};
use kernel::{
    debugfs::{Dir, File, Reader, Writer},
    fmt,
    prelude::*,
    str::CString,
    sync::Arc,
    uaccess::UserSliceReader,
};

/// The longest text that is written to a file.
const MAX_BYTES: usize = 256;

/// The files. They go before the folder; dropping a file waits for those who use it.
pub(crate) struct Provoke {
    _files: KVec<Pin<KBox<File<Control>>>>,
    _dir: Dir,
}

/// What a file is about: a point, or all places that are none.
struct Control {
    point: Option<&'static Point>,
    registry: Arc<Registry>,
}

impl Provoke {
    /// Makes the folder and its files.
    ///
    /// # Errors
    ///
    /// `EBUSY`: the kernel's own LKDTM is built in.
    pub(crate) fn new(registry: &Arc<Registry>) -> Result<Self> {
        if kdump::debugfs::exists(c"provoke-crash") {
            pr_err!("debugfs already has provoke-crash/: the kernel's own LKDTM is built in; only one can be used\n");
            return Err(EBUSY);
        }
        let dir = Dir::new(c"provoke-crash");
        let mut files = KVec::new();
        for point in Iterator::chain(POINTS.iter().map(Some), [None]) {
            let name = CString::try_from_fmt(fmt!("{}", point.map_or("SYMBOL", |p| p.name)))?;
            let control = Control {
                point,
                registry: registry.clone(),
            };
            let file = KBox::pin_init(dir.read_write_file(&name, control), GFP_KERNEL)?;
            files.push(file, GFP_KERNEL)?;
        }
        Ok(Self {
            _files: files,
            _dir: dir,
        })
    }
}

impl Reader for Control {
    fn read_from_slice(&self, reader: &mut UserSliceReader) -> Result {
        with_text(reader, |text| {
            if text == "none" {
                self.registry.disarm(self.point);
                return Ok(());
            }
            match self.point {
                Some(point) if point.is_direct() => {
                    let spec = complain::spec(text)?;
                    self.registry.prepare(&spec)?;
                    arm::direct(point, &spec)
                }
                Some(point) => {
                    let spec = complain::spec(text)?;
                    self.registry.arm(Target::Point(point), &spec)
                }
                None => {
                    let Some((place, rest)) = text.split_once(' ') else {
                        pr_err!("write [module:]symbol[+offset] TYPE [KEY=VALUE…], or none\n");
                        return Err(EINVAL);
                    };
                    let spec = complain::spec(rest)?;
                    self.registry.arm(Target::place(place)?, &spec)
                }
            }
        })
    }
}

impl Writer for Control {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list_types(f)?;
        self.registry.show(f, self.point)
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
