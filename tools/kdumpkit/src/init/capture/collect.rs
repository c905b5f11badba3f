// SPDX-License-Identifier: GPL-2.0-or-later
//! What turns /proc/vmcore into a dump.

use crate::filter::EXIT_INCOMPLETE;
use crate::initramfs::MKDFINFO_PATH;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

pub(super) const VMCORE: &str = "/proc/vmcore";
/// This program, from inside the initramfs.
pub(super) const SELF: &str = "/init";

/// Pages that /proc/vmcore refused, from the filter's report: the dump has all others and is marked incomplete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// How many.
    pub pages: u64,
    /// First and last page frame of the first runs of them.
    pub pfns: Vec<[u64; 2]>,
}

impl Unreadable {
    /// As the filter said.
    pub fn of(report: Option<&serde_json::Value>) -> Option<Self> {
        serde_json::from_value(report?.get("unreadable")?.clone()).ok()
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.pages;
        write!(
            f,
            "{pages} pages of {VMCORE} could not be read; the dump has all others and is marked incomplete"
        )
    }
}

/// What turns /proc/vmcore into the dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collector {
    /// kdumpkit's own filter with these arguments.
    Filter {
        /// Arguments before the two file names.
        arguments: Vec<String>,
    },
    /// The ELF vmcore as it is; zero pages become holes.
    Elf,
    /// The distribution's makedumpfile with these arguments.
    Makedumpfile {
        /// Arguments before the two file names.
        arguments: Vec<String>,
    },
}

impl Collector {
    /// Writes the dump to the file or device `out`. Returns what the filter says that it did; pages that could not be
    /// read are told there ([`Unreadable::of`]).
    ///
    /// # Errors
    /// The collector's own words.
    pub fn collect(&self, out: &Path) -> Result<Option<serde_json::Value>> {
        match self {
            Collector::Filter { arguments } => {
                let more = ["-f", "--json"].map(String::from);
                let said = filter(&[arguments.as_slice(), &more].concat(), out)?;
                Ok(serde_json::from_slice(&said).ok())
            }
            Collector::Elf => {
                let mut source = File::open(VMCORE).context("opening /proc/vmcore")?;
                copy_sparse(&mut source, out).map(|()| None)
            }
            Collector::Makedumpfile { arguments } => {
                collect_with(Command::new("/usr/bin/makedumpfile").args(arguments), out)
                    .map(|_| None)
            }
        }
    }

    /// The command that writes the dump as a flattened stream to its standard output, and its report, a line of JSON, to
    /// standard error.
    ///
    /// # Errors
    /// Only kdumpkit's own filter can.
    pub fn stream(&self) -> Result<Command> {
        let Collector::Filter { arguments } = self else {
            bail!("{self:?} cannot write a stream");
        };
        let mut command = Command::new(SELF);
        command.args(["filter", "-F", "--json"]).args(arguments);
        if Path::new(MKDFINFO_PATH).exists() {
            command.args(["-i", MKDFINFO_PATH]);
        }
        command.args(["--message-level", "4", VMCORE]);
        Ok(command)
    }
}

/// Writes the crashed kernel's log as text.
pub(super) fn log(out: &Path) -> Result<()> {
    filter(&["--dump-dmesg", "-f"].map(String::from), out).map(|_| ())
}

/// Runs this program's own filter, in a process of its own: it may need more memory than there is. Returns its standard
/// output.
///
/// The kernel's mkdfinfo file is used when it is there. One that is refused (of another kernel, damaged) is refused before
/// the target is created: then the dump's own note must do.
fn filter(arguments: &[String], out: &Path) -> Result<Vec<u8>> {
    let with = |info: &[&str]| {
        collect_with(
            Command::new(SELF).arg("filter").args(info).args(arguments),
            out,
        )
    };
    if !Path::new(MKDFINFO_PATH).exists() {
        return with(&[]);
    }
    match with(&["-i", MKDFINFO_PATH]) {
        Err(error) if !out.exists() => {
            eprintln!("kdumpkit init: {error:#}; trying without {MKDFINFO_PATH}");
            with(&[])
        }
        result => result,
    }
}

fn collect_with(command: &mut Command, out: &Path) -> Result<Vec<u8>> {
    command.arg(VMCORE).arg(out);
    let output = command
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    if !has_written(output.status) {
        let words = String::from_utf8_lossy(&output.stderr);
        let end = in_words(output.status);
        bail!("{command:?} ended with {end}: {}", words.trim());
    }
    Ok(output.stdout)
}

/// How a process ended.
pub(super) fn in_words(status: ExitStatus) -> String {
    let why = match status.signal() {
        Some(9) => ", probably because memory ran out",
        _ => "",
    };
    format!("{status}{why}")
}

/// Whether the filter has written a dump, whole or as whole as it can be.
pub(super) fn has_written(status: ExitStatus) -> bool {
    status.success() || status.code() == Some(EXIT_INCOMPLETE.into())
}

fn copy_sparse(source: &mut impl Read, path: &Path) -> Result<()> {
    const PAGE_BYTES: usize = 4096;
    let mut out = File::create(path)?;
    let mut buffer = vec![0; 256 * PAGE_BYTES];
    let mut length = 0_u64;
    loop {
        let n = source
            .read(&mut buffer)
            .with_context(|| format!("reading {VMCORE} at {length:#x}"))?;
        if n == 0 {
            break;
        }
        for page in buffer[..n].chunks(PAGE_BYTES) {
            if page.iter().any(|byte| *byte != 0) {
                out.seek(SeekFrom::Start(length))?;
                out.write_all(page)?;
            }
            length += page.len() as u64;
        }
    }
    out.set_len(length).context("setting the dump's length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_sparse_when_zero_pages_keeps_length_and_bytes() {
        let mut data = vec![0_u8; 10 * 4096 + 17];
        data[5000] = 7;
        let path = std::env::temp_dir().join(format!("kdumpkit-sparse-{}", std::process::id()));
        copy_sparse(&mut data.as_slice(), &path).unwrap();
        let back = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(back, data);
    }
}
