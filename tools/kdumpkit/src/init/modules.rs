// SPDX-License-Identifier: GPL-2.0-or-later
//! Loads modules of the initramfs, dependencies first.

use super::system;
use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};

/// Loads these modules and what they depend on; one that is already there is fine.
///
/// # Errors
/// modules.dep is missing, a name is not in it, or the kernel refuses a module (the message has its errno).
pub fn load_all(names: &[String]) -> Result<()> {
    let folder = format!("/lib/modules/{}", system::release());
    let path = format!("{folder}/modules.dep");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let depends: BTreeMap<&str, Vec<&str>> = text
        .lines()
        .filter_map(|line| line.split_once(".ko:"))
        .map(|(name, rest)| {
            (
                name,
                rest.split_whitespace()
                    .map(|d| d.trim_end_matches(".ko"))
                    .collect(),
            )
        })
        .collect();
    names
        .iter()
        .try_for_each(|name| load(&folder, &depends, name, 0))
}

fn load(folder: &str, depends: &BTreeMap<&str, Vec<&str>>, name: &str, depth: usize) -> Result<()> {
    // What is built in has no entry: the builder has checked the names.
    let Some(before) = depends.get(name) else {
        return Ok(());
    };
    if depth > 32 {
        bail!("module {name}: the dependencies form a circle");
    }
    for dependency in before {
        load(folder, depends, dependency, depth + 1)?;
    }
    let path = format!("{folder}/{name}.ko");
    let file = File::open(&path).with_context(|| format!("opening module {path}"))?;
    match rustix::system::finit_module(&file, &CString::default(), 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno).with_context(|| format!("loading module {name}")),
    }
}
