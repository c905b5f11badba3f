// SPDX-License-Identifier: GPL-2.0

//! /sys/kernel/mkdfinfo. Each file is described in Documentation/ABI/testing/sysfs-kernel-mkdfinfo.

use crate::gather::Facts;
use crate::keys::KEYS;
use crate::keys::{Key, Kind, Scope};
use crate::text::{self, Form, Header};
use core::fmt::{self, Write};
use kdump::sysfs::{Blob, Bytes, Dir, File, Show};
use kdump::{has_cap_syslog, image};
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::str::CString;

/// Who may read addresses: what /proc/kallsyms demands with perf locked, that is `CAP_SYSLOG`, and nobody at
/// kptr_restrict=2. Asked at each read, because both change.
#[derive(Clone, Copy)]
struct Access {
    kptr_restrict: Option<u64>,
}

impl Access {
    fn check(self) -> Result {
        // A variable that was not found counts as the strictest setting.
        let level = self.kptr_restrict.map_or(Ok(2), image::read_i32)?;
        match level {
            0 | 1 if has_cap_syslog() => Ok(()),
            _ => Err(EPERM),
        }
    }
}

/// What one small file shows.
enum Entry {
    Value(&'static Key, i64, Option<Access>),
    Count(usize),
    Text(CString),
    KernelOffset(u64, Access),
}

impl Entry {
    fn write(&self, out: &mut dyn Write) -> fmt::Result {
        // `write_value` wants a sized writer.
        let mut out = out;
        match self {
            Self::Value(key, value, _) => text::write_value(&mut out, key, *value)?,
            Self::Count(count) => write!(out, "{count}")?,
            Self::Text(text) => out.write_str(text.to_str().unwrap_or_default())?,
            Self::KernelOffset(offset, _) => write!(out, "{offset:x}")?,
        }
        out.write_char('\n')
    }
}

impl Show for Entry {
    fn show(&self, out: &mut dyn Write) -> Result {
        if let Self::Value(_, _, Some(access)) | Self::KernelOffset(_, access) = self {
            access.check()?;
        }
        self.write(out).map_err(|_| EFBIG)
    }
}

/// The whole as text.
struct Text {
    bytes: KVec<u8>,
    access: Access,
}

impl Bytes for Text {
    fn bytes(&self) -> Result<&[u8]> {
        self.access.check()?;
        Ok(&self.bytes)
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes
            .extend_from_slice(text.as_bytes(), GFP_KERNEL)
            .map_err(|_| fmt::Error)
    }
}

/// Everything in sysfs. The order of the fields is the order of removal.
pub(crate) struct Files {
    _texts: [Blob<Text>; 2],
    _kinds: KVec<Dir<Entry>>,
    _boot_kinds: KVec<Dir<Entry>>,
    _boot: Dir<Entry>,
    _root: Dir<Entry>,
}

impl Files {
    /// Makes all files.
    ///
    /// # Errors
    ///
    /// `EEXIST`, `ENOMEM`; nothing stays behind.
    pub(crate) fn create(facts: &Facts) -> Result<Self> {
        let access = Access {
            kptr_restrict: facts.kptr_restrict,
        };
        let root = Dir::under_kernel(c"mkdfinfo", about(facts)?)?;
        let boot = Dir::inside(&root, c"boot", boot_files(facts, access)?)?;
        let boot_kinds = kinds(&boot, facts, access, Scope::Boot)?;
        let kinds = kinds(&root, facts, access, Scope::Build)?;
        let texts = [
            text_file(&root, c"mkdfinfo", facts, access, Form::Build)?,
            text_file(&root, c"mkdfinfo_boot", facts, access, Form::Boot)?,
        ];
        Ok(Self {
            _texts: texts,
            _kinds: kinds,
            _boot_kinds: boot_kinds,
            _boot: boot,
            _root: root,
        })
    }
}

/// Adds a readable file to a list.
fn push(files: &mut KVec<File<Entry>>, name: &str, mode: u16, entry: Entry) -> Result {
    let name = CString::try_from_fmt(fmt!("{name}"))?;
    Ok(files.push(File::new(name, mode, entry), GFP_KERNEL)?)
}

fn about(facts: &Facts) -> Result<KVec<File<Entry>>> {
    let mut files = KVec::new();
    for (name, line) in [
        ("osrelease", "OSRELEASE"),
        ("build_id", "BUILD-ID"),
        ("pagesize", "PAGESIZE"),
    ] {
        let text = CString::try_from_fmt(fmt!("{}", facts.plain(line)))?;
        push(&mut files, name, 0o444, Entry::Text(text))?;
    }
    Ok(files)
}

fn boot_files(facts: &Facts, access: Access) -> Result<KVec<File<Entry>>> {
    let mut files = KVec::new();
    push(
        &mut files,
        "kerneloffset",
        0o400,
        Entry::KernelOffset(facts.kernel_offset, access),
    )?;
    Ok(files)
}

/// One directory for each kind that has keys of this scope.
fn kinds(
    parent: &Dir<Entry>,
    facts: &Facts,
    access: Access,
    scope: Scope,
) -> Result<KVec<Dir<Entry>>> {
    let mut dirs = KVec::new();
    for (kind, name) in [
        (Kind::Symbol, c"symbol"),
        (Kind::Size, c"size"),
        (Kind::Offset, c"offset"),
        (Kind::Length, c"length"),
        (Kind::Number, c"number"),
    ] {
        let mut files = KVec::new();
        for (key, value) in KEYS.iter().zip(&facts.values) {
            let (true, Some(value)) = (key.kind == kind && key.scope == scope, value.agreed())
            else {
                continue;
            };
            // What this boot chose at random is as secret as the addresses that it moves.
            let secret = kind == Kind::Symbol || scope == Scope::Boot;
            let mode = if secret { 0o400 } else { 0o444 };
            push(
                &mut files,
                key.name,
                mode,
                Entry::Value(key, value, secret.then_some(access)),
            )?;
        }
        if kind == Kind::Number && scope == Scope::Build {
            push(
                &mut files,
                "conflicts",
                0o444,
                Entry::Count(facts.conflicts),
            )?;
        }
        if !files.is_empty() {
            dirs.push(Dir::inside(parent, name, files)?, GFP_KERNEL)?;
        }
    }
    Ok(dirs)
}

fn text_file(
    root: &Dir<Entry>,
    name: &'static CStr,
    facts: &Facts,
    access: Access,
    form: Form,
) -> Result<Blob<Text>> {
    let header = Header {
        osrelease: facts.plain("OSRELEASE"),
        build_id: facts.plain("BUILD-ID"),
        page_size: PAGE_SIZE as u64,
        kernel_offset: facts.kernel_offset,
    };
    let mut text = Text {
        bytes: KVec::with_capacity(2 * PAGE_SIZE, GFP_KERNEL)?,
        access,
    };
    text::write(&mut text, form, &header, &facts.values).map_err(|_| ENOMEM)?;
    let size = text.bytes.len();
    Blob::create(root, name, 0o400, size, text)
}
