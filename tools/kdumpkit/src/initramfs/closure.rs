// SPDX-License-Identifier: GPL-2.0-or-later
//! A program of another root together with the shared objects it needs.
//!
//! Only for the distribution's own tools in comparisons; what the project ships is static and needs none of this.

use anyhow::{Context, Result, bail};
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, elf};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian keeps shared objects, relative to the root.
const LIBRARY_FOLDERS: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "usr/lib"];

/// Finds `program` (`usr/bin/makedumpfile`) in `root` and everything it needs.
///
/// Returns path inside the root → file to read.
///
/// # Errors
/// The program or one of its shared objects is missing or not a 64-bit ELF file.
pub fn closure(root: &Path, program: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut queue = VecDeque::from([program.to_owned()]);
    while let Some(path) = queue.pop_front() {
        let file = root.join(&path);
        if found.insert(path.clone(), file.clone()).is_some() {
            continue;
        }
        let image = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let needs =
            needs_of(&image).with_context(|| format!("reading what {} needs", file.display()))?;
        if let Some(interpreter) = needs.interpreter {
            queue.push_back(interpreter.trim_start_matches('/').to_owned());
        }
        for library in needs.libraries {
            queue.push_back(find_library(root, &library)?);
        }
    }
    Ok(found)
}

#[derive(Default)]
struct Needs {
    interpreter: Option<String>,
    libraries: Vec<String>,
}

fn needs_of(image: &[u8]) -> Result<Needs> {
    let file = ElfFile64::<Endianness>::parse(image)?;
    let endian = file.endian();
    let segments = file.elf_program_headers();
    let mut needs = Needs::default();
    for segment in segments {
        if let Some(name) = segment.interpreter(endian, image)? {
            needs.interpreter = Some(String::from_utf8(name.to_vec())?);
        }
    }
    let sections = file.elf_header().sections(endian, image)?;
    let Some((entries, link)) = sections.dynamic(endian, image)? else {
        return Ok(needs);
    };
    let strings = sections.strings(endian, image, link)?;
    for entry in entries {
        if entry.tag32(endian) == Some(elf::DT_NEEDED) {
            let name = entry.string(endian, strings)?;
            needs.libraries.push(String::from_utf8(name.to_vec())?);
        }
    }
    Ok(needs)
}

fn find_library(root: &Path, name: &str) -> Result<String> {
    for folder in LIBRARY_FOLDERS {
        let path = format!("{folder}/{name}");
        if root.join(&path).exists() {
            return Ok(path);
        }
    }
    bail!(
        "shared object {name} is in none of {LIBRARY_FOLDERS:?} of {}",
        root.display()
    )
}
