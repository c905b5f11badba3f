// SPDX-License-Identifier: GPL-2.0-or-later
//! The values of all keys, asked from several sources that must agree.
//!
//! The same table, readers and rules as in mkdfinfo.ko: see [`modlogic::mkdfinfo`].

use crate::{Key, ParseError, Vmcoreinfo};
use modlogic::mkdfinfo::collect::{self, Outcome, Types, Value};
use modlogic::mkdfinfo::kallsyms::Found;
use modlogic::mkdfinfo::keys::KEYS;
use modlogic::mkdfinfo::text::{self, Header};
use modlogic::mkdfinfo::{btf, keys};

pub use modlogic::mkdfinfo::collect::Source;
pub use modlogic::mkdfinfo::text::Form;

/// Why a source gives no facts.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The note is no VMCOREINFO text.
    #[error(transparent)]
    Note(#[from] ParseError),
    /// The note lacks a line that everything else depends on.
    #[error("the VMCOREINFO note has no {0}: it is not the note of an x86_64 kernel")]
    NoteLacks(&'static str),
    /// The blob is not BTF, or damaged.
    #[error("BTF: {0}")]
    Btf(String),
    /// The symbol list is unreadable or hides its addresses.
    #[error("symbols: {0}")]
    Symbols(String),
    /// A kernel file of another build.
    #[error(
        "the kernel is {running}, the file is of {file}: take the debug package of exactly this kernel"
    )]
    OtherKernel {
        /// Release and build id of the kernel.
        running: String,
        /// Release and build id of the file.
        file: String,
    },
    /// The file is not an ELF file with debugging information.
    #[error("vmlinux: {0}")]
    Vmlinux(String),
}

/// A key that two sources disagree on; it is withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The key.
    pub key: Key,
    /// One source and what it says.
    pub one: (Source, i64),
    /// Another one.
    pub other: (Source, i64),
}

/// What is known about one kernel.
#[derive(Debug, Clone)]
pub struct Facts {
    /// `uname -r`.
    pub osrelease: String,
    /// GNU build id in hexadecimal; empty when it is not known.
    pub build_id: String,
    /// `PAGE_SIZE`.
    pub page_size: u64,
    /// KASLR's distance from link-time to run-time addresses; 0 for a kernel file.
    pub kernel_offset: u64,
    /// One for each of [`KEYS`].
    values: Vec<Value>,
}

impl Facts {
    /// Nothing is known but the kernel's name.
    pub(crate) fn new(osrelease: String, build_id: String, page_size: u64) -> Facts {
        Facts {
            osrelease,
            build_id,
            page_size,
            kernel_offset: 0,
            values: vec![Value::default(); KEYS.len()],
        }
    }

    /// What the kernel's own note says.
    ///
    /// # Errors
    /// When it is no VMCOREINFO text, or lacks the kernel's name or `KERNELOFFSET`.
    pub fn from_note(note: &[u8]) -> Result<Facts, FactsError> {
        let info = Vmcoreinfo::parse(note)?;
        let lacks = FactsError::NoteLacks;
        let mut facts = Facts::new(
            info.osrelease().ok_or(lacks("OSRELEASE"))?.into(),
            info.build_id().unwrap_or_default().into(),
            info.page_size().ok_or(lacks("PAGESIZE"))?,
        );
        facts.kernel_offset = info.kernel_offset().ok_or(lacks("KERNELOFFSET"))?;
        collect::say_note(&mut facts.values, note, facts.kernel_offset);
        Ok(facts)
    }

    /// Adds what BTF says about types.
    ///
    /// # Errors
    /// When the blob is not BTF.
    pub fn add_btf(&mut self, blob: &[u8]) -> Result<(), FactsError> {
        let mut marks = vec![0; btf::INDEX_LEN];
        collect::say_btf(&mut self.values, blob, &mut marks, &mut Types::default())
            .map_err(|e| FactsError::Btf(format!("{e:?}")))
    }

    /// Adds the addresses of `symbols`: (name, run-time address), in any order. Call it after [`Self::add_btf`] or
    /// [`Self::from_note`]: addresses of array elements need the element's size.
    pub fn add_symbols<'a>(
        &mut self,
        source: Source,
        symbols: impl IntoIterator<Item = (&'a [u8], u64)>,
    ) {
        let mut names = [""; 128];
        let len = collect::symbol_names(&mut names, &[]).unwrap_or(0);
        let names = &names[..len];
        let mut found = vec![Found::default(); len];
        for (name, address) in symbols {
            if let Ok(i) = names.binary_search_by(|wanted| wanted.as_bytes().cmp(name)) {
                found[i].count += 1;
                found[i].address = address;
            }
        }
        collect::say_symbols(&mut self.values, source, names, &found, self.kernel_offset);
    }

    /// Adds what a kernel file says; the sources must agree from then on.
    ///
    /// # Errors
    /// [`FactsError::OtherKernel`] when the file belongs to another kernel.
    pub fn add_vmlinux(&mut self, file: &Facts) -> Result<(), FactsError> {
        if (&self.osrelease, &self.build_id) != (&file.osrelease, &file.build_id) {
            return Err(FactsError::OtherKernel {
                running: format!("{} ({})", self.osrelease, self.build_id),
                file: format!("{} ({})", file.osrelease, file.build_id),
            });
        }
        for (value, other) in self.values.iter_mut().zip(&file.values) {
            value.say(Source::Vmlinux, other.said(Source::Vmlinux));
        }
        Ok(())
    }

    /// Records what `source` says about the key at `i` of [`KEYS`].
    pub(crate) fn say(&mut self, i: usize, source: Source, value: Option<i64>) {
        self.values[i].say(source, value);
    }

    /// The text of this form; keys that are withheld or do not exist are not in it.
    pub fn to_text(&self, form: Form) -> String {
        let header = Header {
            osrelease: &self.osrelease,
            build_id: &self.build_id,
            page_size: self.page_size,
            kernel_offset: self.kernel_offset,
        };
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = text::write(&mut out, form, &header, &self.values);
        out
    }

    /// The keys with what each source says, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&'static keys::Key, &Value)> {
        KEYS.iter().zip(&self.values)
    }

    /// The keys that sources disagree on.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let conflict = |(key, value): (&keys::Key, &Value)| match value.outcome() {
            Outcome::Conflict(one, other) => Some(Conflict {
                key: Key::new(key.kind, key.name),
                one,
                other,
            }),
            _ => None,
        };
        self.iter().filter_map(conflict).collect()
    }
}
