// SPDX-License-Identifier: GPL-2.0-or-later
//! Files that are there as a whole or not at all, also after a power cut.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes `bytes` to a file beside `path`, syncs, renames it to `path` and syncs the folder.
///
/// # Errors
/// The folder cannot be written; whatever was at `path` before is still there then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_inner(path, bytes).with_context(|| format!("writing {}", path.display()))
}

fn write_inner(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut beside = OsString::from(path);
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(())
}
