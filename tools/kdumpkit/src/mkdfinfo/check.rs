// SPDX-License-Identifier: GPL-2.0-or-later
//! Holds a file against a dump.

use super::EXIT_OTHER_KERNEL;
use super::diff::{self, Difference};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::ExitCode;
use vmcore::Dump;
use vmcoreinfo::{Entry, OverlayError, Vmcoreinfo};

/// Runs `--check FILE VMCORE`.
///
/// # Errors
/// A file that cannot be read.
pub fn main(file: &Path, dump: &Path) -> Result<ExitCode> {
    let info = super::read(file)?;
    let dump = Dump::open(dump).with_context(|| format!("reading {}", dump.display()))?;
    let note = dump.vmcoreinfo();
    let merged = match note.overlay(&info) {
        Ok(merged) => merged,
        Err(error) => {
            eprintln!("kdumpkit mkdfinfo: error: {}: {error}", file.display());
            let other = matches!(error, OverlayError::OtherKernel { .. });
            return Ok(ExitCode::from(if other { EXIT_OTHER_KERNEL } else { 1 }));
        }
    };
    let changed = changed(note, &merged);
    for difference in &changed {
        diff::print(difference);
    }
    let added = merged.entries().len() - note.entries().len();
    println!(
        "{}: {} keys fit the dump's note, {added} are added, {} would be changed",
        file.display(),
        info.entries().len() - added - changed.len(),
        changed.len()
    );
    Ok(if changed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// The note's keys that have another value once the file lies over it.
fn changed(note: &Vmcoreinfo, merged: &Vmcoreinfo) -> Vec<Difference> {
    let mut merged_note = Vmcoreinfo::default();
    for Entry { key, .. } in note.entries() {
        if let Some(value) = merged.get(key) {
            merged_note.set(key.clone(), value.clone());
        }
    }
    diff::differences(note, &merged_note)
}
