// SPDX-License-Identifier: GPL-2.0-or-later
//! Compares two files.

use super::EXIT_OTHER_KERNEL;
use anyhow::Result;
use modlogic::mkdfinfo::keys::{Group, KEYS, Scope};
use std::path::Path;
use std::process::ExitCode;
use vmcoreinfo::{Entry, Key, Kind, Value, Vmcoreinfo};

/// A key that the two sides do not agree on.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: Key,
    /// Its value on the left; `None` when it is not there.
    pub left: Option<Value>,
    /// Its value on the right.
    pub right: Option<Value>,
    /// What follows from it.
    pub meaning: String,
}

/// Runs `--diff A B`.
///
/// # Errors
/// A file that cannot be read.
pub fn main(a: &Path, b: &Path) -> Result<ExitCode> {
    let (left, right) = (super::read(a)?, super::read(b)?);
    let differences = differences(&left, &right);
    for difference in &differences {
        print(difference);
    }
    println!(
        "{} differences, {} keys in {}, {} in {}",
        differences.len(),
        left.entries().len(),
        a.display(),
        right.entries().len(),
        b.display()
    );
    Ok(match (left.same_kernel(&right), differences.is_empty()) {
        (Err(_), _) => ExitCode::from(EXIT_OTHER_KERNEL),
        (Ok(()), true) => ExitCode::SUCCESS,
        (Ok(()), false) => ExitCode::from(1),
    })
}

/// Prints one difference as two lines.
pub fn print(difference: &Difference) {
    let text = |value: &Option<Value>| value.as_ref().map_or("-".into(), Value::to_text);
    println!(
        "{}: {} | {}",
        difference.key,
        text(&difference.left),
        text(&difference.right)
    );
    println!("    {}", difference.meaning);
}

/// All keys that are on one side only, or differ. Numbers are compared as numbers: `0x10` and `16` are the same.
pub fn differences(left: &Vmcoreinfo, right: &Vmcoreinfo) -> Vec<Difference> {
    let moved = common_distance(left, right);
    let mut all = Vec::new();
    for Entry { key, value } in left.entries() {
        let other = right.get(key);
        if !other.is_some_and(|other| same(value, other)) {
            all.push(difference(key, Some(value), other, moved));
        }
    }
    for Entry { key, value } in right
        .entries()
        .iter()
        .filter(|entry| left.get(&entry.key).is_none())
    {
        all.push(difference(key, None, Some(value), moved));
    }
    all
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::HexNumber(b)) | (Value::HexNumber(b), Value::Number(a)) => {
            *a as u64 == *b
        }
        (a, b) => a == b,
    }
}

/// The distance between the symbols of both sides, when all common symbols of the image have the same, and not 0.
fn common_distance(left: &Vmcoreinfo, right: &Vmcoreinfo) -> Option<u64> {
    let mut distances =
        left.entries()
            .iter()
            .filter_map(|entry| match (&entry.value, right.get(&entry.key)) {
                (Value::Address(a), Some(Value::Address(b)))
                    if entry.key.kind == Kind::Symbol && in_image(*a) && in_image(*b) =>
                {
                    Some(b.wrapping_sub(*a))
                }
                _ => None,
            });
    let first = distances.next()?;
    (first != 0 && distances.all(|other| other == first)).then_some(first)
}

/// x86_64: `__START_KERNEL_map`.
fn in_image(address: u64) -> bool {
    address >= 0xffff_ffff_8000_0000
}

fn difference(
    key: &Key,
    left: Option<&Value>,
    right: Option<&Value>,
    moved: Option<u64>,
) -> Difference {
    Difference {
        key: key.clone(),
        left: left.cloned(),
        right: right.cloned(),
        meaning: meaning(key, left, right, moved),
    }
}

fn meaning(key: &Key, left: Option<&Value>, right: Option<&Value>, moved: Option<u64>) -> String {
    let spec = KEYS
        .iter()
        .find(|spec| (spec.kind, spec.name) == (key.kind, key.name.as_str()));
    let per_boot = spec.is_some_and(|spec| spec.scope == Scope::Boot) || key.name == "KERNELOFFSET";
    match (left, right) {
        (Some(Value::Address(a)), Some(Value::Address(b))) if moved == Some(b.wrapping_sub(*a)) => {
            format!(
                "all symbols are {:#x} apart: link-time on one side, run-time (KASLR) on the other",
                b.wrapping_sub(*a)
            )
        }
        _ if matches!(key.name.as_str(), "OSRELEASE" | "BUILD-ID")
            && left.is_some()
            && right.is_some() =>
        {
            "the files describe different kernels: no other difference matters".into()
        }
        _ if per_boot => {
            "differs from boot to boot: the dump's own note knows the right value".into()
        }
        (Some(_), Some(_)) => format!(
            "one of them is wrong: {}",
            consequence(spec.map(|spec| spec.group))
        ),
        _ => format!(
            "on one side only: {}",
            consequence(spec.map(|spec| spec.group))
        ),
    }
}

/// What a filter or debugger cannot do without the key, or does wrong with a wrong one.
fn consequence(group: Option<Group>) -> &'static str {
    match group {
        Some(Group::MemoryModel) => {
            "needed to find the struct page of a frame; wrong, the filter finds none or others"
        }
        Some(Group::PageClass) => {
            "needed to classify pages; wrong, the dump misses pages or has too many"
        }
        Some(Group::Translation) => {
            "needed to translate virtual addresses; wrong, everything read is wrong"
        }
        Some(Group::Dmesg) => "needed for the kernel log (--dump-dmesg)",
        Some(Group::Names) => {
            "needed to name addresses and to find types and modules inside the dump"
        }
        Some(Group::Tasks) => "needed to tell which task crashed, and to recover registers",
        Some(Group::HardwareErrors) => "needed for the counters of recovered hardware errors",
        None => "no key that kdumpkit uses; older kernels or other readers may",
    }
}
