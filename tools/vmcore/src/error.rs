// SPDX-License-Identifier: GPL-2.0-or-later
//! What can be wrong with a dump.

use crate::addr::{PhysAddr, VirtAddr};

/// Why a dump, or one address of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a read or write.
    #[error("{what}: {source}")]
    Io {
        /// The step and, for reads, the place in the file.
        what: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is none of the formats that are known.
    #[error(
        "not a dump: the file starts with {start:02x?}; valid are ELF (\"\\x7fELF\"), kdump-compressed \
         (\"KDUMP   \") and flattened (\"makedumpfile\")"
    )]
    UnknownFormat {
        /// The first bytes.
        start: Vec<u8>,
    },
    /// A structure of the file contradicts itself or the file's length.
    #[error("{what}: {detail}")]
    Format {
        /// The structure.
        what: &'static str,
        /// What it says and what is valid.
        detail: String,
    },
    /// The file ends before something that its own structures promise: it was cut or is still being written.
    #[error(
        "{what} ends at byte {end} of a file of {file_bytes} bytes: the dump is truncated, copy it again or read the \
         original"
    )]
    Truncated {
        /// The structure.
        what: &'static str,
        /// Where it would end.
        end: u64,
        /// The file's length.
        file_bytes: u64,
    },
    /// The page is not in the dump: filtered out, no RAM there, or lost (incomplete dump).
    #[error("{0} is not in the dump ({1})")]
    Absent(PhysAddr, Absence),
    /// The page tables of the dump do not map this address.
    #[error("{addr} is not mapped (page-table level {level})")]
    NotMapped {
        /// The address.
        addr: VirtAddr,
        /// 1 is the page table itself, 4 or 5 the top.
        level: u32,
    },
    /// VMCOREINFO does not have a key that is needed.
    #[error(
        "VMCOREINFO has no {key}, which {purpose} needs; give it with -i FILE (kdumpkit mkdfinfo writes one on the \
         machine that crashed)"
    )]
    MissingKey {
        /// The key as in the text.
        key: String,
        /// What it is for.
        purpose: &'static str,
    },
    /// A VMCOREINFO value, or memory it points at, is impossible.
    #[error("{what} is {value:#x}, valid is {valid}")]
    BadValue {
        /// The value's name.
        what: String,
        /// The value.
        value: u64,
        /// What would be accepted.
        valid: &'static str,
    },
    /// The output has no room: the target is full, over quota, or the size limit is reached.
    #[error("no space for the dump from byte {at:#x} on")]
    NoSpace {
        /// The first byte that could not be written.
        at: u64,
    },
    /// The VMCOREINFO note does not parse.
    #[error(transparent)]
    Vmcoreinfo(#[from] vmcoreinfo::ParseError),
}

/// Why a page is not in the dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Absence {
    /// The dump's own map says that there is no RAM.
    #[error("no RAM at this address")]
    NoRam,
    /// RAM, but filtered out when the dump was written.
    #[error("excluded by the dump level")]
    Excluded,
    /// The dump was cut short before this page.
    #[error("lost: the dump is incomplete")]
    Lost,
}

impl Error {
    /// Whether a part of the crashed kernel's memory cannot be had, while the dump as a whole makes sense.
    pub(crate) fn is_of_memory(&self) -> bool {
        matches!(
            self,
            Error::Io { .. }
                | Error::Truncated { .. }
                | Error::Absent(..)
                | Error::NotMapped { .. }
        )
    }

    pub(crate) fn format(what: &'static str, detail: impl Into<String>) -> Error {
        Error::Format {
            what,
            detail: detail.into(),
        }
    }

    pub(crate) fn missing(key: impl Into<String>, purpose: &'static str) -> Error {
        Error::MissingKey {
            key: key.into(),
            purpose,
        }
    }
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;
