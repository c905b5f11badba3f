// SPDX-License-Identifier: GPL-2.0
//! Writes the text that `makedumpfile -i` and `kdumpkit filter -i` read.

use super::collect::{self, Value};
use super::keys::KEYS;
use super::keys::{Key, Kind, Scope};
use core::fmt::{self, Write};

/// What the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// True for every boot of the kernel build: link-time addresses, nothing of this boot. For a dump that has its note.
    Build,
    /// True for this boot only: what the kernel's note would say, and more. For a dump that lost its note.
    Boot,
}

/// What the text says besides the keys.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// `uname -r`.
    pub osrelease: &'a str,
    /// GNU build id in hexadecimal; left out when empty.
    pub build_id: &'a str,
    /// `PAGE_SIZE`.
    pub page_size: u64,
    /// KASLR's distance; only in [`Form::Boot`].
    pub kernel_offset: u64,
}

/// Writes the text; keys without an agreed value are left out.
///
/// # Errors
/// Those of `out`.
pub fn write(
    out: &mut impl Write,
    form: Form,
    header: &Header<'_>,
    values: &[Value],
) -> fmt::Result {
    writeln!(out, "OSRELEASE={}", header.osrelease)?;
    if !header.build_id.is_empty() {
        writeln!(out, "BUILD-ID={}", header.build_id)?;
    }
    writeln!(out, "PAGESIZE={}", header.page_size)?;
    for (key, value) in KEYS.iter().zip(values) {
        let Some(value) = value.agreed().filter(|_| belongs(key, form, values)) else {
            continue;
        };
        // Not write!(): twice as fast, and half of the module's files are made of these lines.
        for part in [key.kind.word(), "(", key.name, ")="] {
            out.write_str(part)?;
        }
        let moved =
            form == Form::Boot && key.kind == Kind::Symbol && value as u64 >= collect::KERNEL_MAP;
        write_value(
            out,
            key,
            if moved {
                value.wrapping_add(header.kernel_offset as i64)
            } else {
                value
            },
        )?;
        out.write_str("\n")?;
    }
    match form {
        Form::Boot => writeln!(out, "KERNELOFFSET={:x}", header.kernel_offset),
        Form::Build => Ok(()),
    }
}

/// One value as its line, or its sysfs file, has it; no newline.
///
/// # Errors
/// Those of `out`.
pub fn write_value(out: &mut impl Write, key: &Key, value: i64) -> fmt::Result {
    match key.kind {
        Kind::Symbol => write!(out, "{value:x}"),
        // As the kernel's note has it: an address, too large for the decimal form.
        Kind::Number if key.name == "VMALLOC_START" => write!(out, "{value:#x}"),
        _ => write!(out, "{value}"),
    }
}

/// Whether the key is a line of this form. In the boot form a value of this boot takes the place of the build's.
fn belongs(key: &Key, form: Form, values: &[Value]) -> bool {
    let replaced = || {
        KEYS.iter().zip(values).any(|(other, value)| {
            other.scope == Scope::Boot
                && (other.kind, other.name) == (key.kind, key.name)
                && value.agreed().is_some()
        })
    };
    match (key.scope, form) {
        (Scope::Boot, form) => form == Form::Boot,
        (Scope::Build, Form::Build) => true,
        (Scope::Build, Form::Boot) => !replaced(),
    }
}
