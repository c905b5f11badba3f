// SPDX-License-Identifier: GPL-2.0-or-later
//! `--mem-usage`: what the pages of a system are used for, running or crashed.

use super::run::open;
use anyhow::{Context, Result};
use serde_json::json;
use std::path::Path;
use vmcore::Dump;
use vmcore::addr::PAGE_SIZE;
use vmcore::codec::Codec;
use vmcore::pages::level::BITS;
use vmcore::pages::{Class, Level, PageLayout, Scan, scan};
use vmcore::write::Check;
use vmcore::write::pipeline::{self, Stored};

/// Level 30: everything left out by its class; what remains is looked at for zeros.
const BY_CLASS: u8 = 30;

/// Counts and prints.
///
/// # Errors
/// The file cannot be read, or does not describe its kernel well enough.
pub fn mem_usage(source: &Path, info: Option<&Path>, threads: usize, json: bool) -> Result<()> {
    let dump = open(source, info)?;
    let layout = PageLayout::new(dump.vmcoreinfo())?;
    let level = Level::new(BY_CLASS).context("level 30")?;
    let scan = scan::scan(&dump, Some(&layout), level)?;
    let zero = zero_pages(&dump, &scan, threads)?;
    match json {
        true => println!("{}", as_json(&scan, zero)),
        false => print(&scan, zero),
    }
    Ok(())
}

/// Of the pages that no class leaves out. Pages of a running system that cannot be read count as others.
fn zero_pages(dump: &Dump, scan: &Scan, threads: usize) -> Result<u64> {
    let job = pipeline::Job {
        codec: Codec::Raw,
        level: None,
        threads,
        check: Check::No,
    };
    let mut zero = 0;
    pipeline::run(dump, scan.kept.runs(), job, |batch| {
        let pages = batch.pages.iter();
        zero += pages.filter(|page| **page == Stored::Zero).count() as u64;
        Ok(())
    })?;
    Ok(zero)
}

fn print(scan: &Scan, zero: u64) {
    let mib = |pages: u64| (pages * PAGE_SIZE) >> 20;
    println!(
        "{:<16} {:>12} {:>10}  left out by level",
        "class", "pages", "MiB"
    );
    for class in Class::ALL {
        let pages = scan.stats.count(class);
        let by = match class.excluded_by() {
            None => "none".to_owned(),
            Some(0) => "all".to_owned(),
            Some(bits) => {
                let bits = BITS.iter().filter(|(bit, _)| bits & bit != 0);
                bits.map(|(bit, _)| bit.to_string())
                    .collect::<Vec<_>>()
                    .join(" or ")
            }
        };
        if pages > 0 {
            println!("{:<16} {pages:>12} {:>10}  {by}", class.name(), mib(pages));
        }
    }
    println!(
        "{:<16} {zero:>12} {:>10}  1 (of those that no other bit leaves out)",
        "zero",
        mib(zero)
    );
    let (total, kept) = (scan.stats.total(), scan.kept.count() - zero);
    println!("{:<16} {total:>12} {:>10}", "all of RAM", mib(total));
    println!(
        "{:<16} {kept:>12} {:>10}  before compression",
        "kept at level 31",
        mib(kept)
    );
}

fn as_json(scan: &Scan, zero: u64) -> serde_json::Value {
    let classes: serde_json::Map<_, _> = Class::ALL
        .into_iter()
        .map(|class| (class.name().to_owned(), scan.stats.count(class).into()))
        .collect();
    json!({
        "page_bytes": PAGE_SIZE,
        "ram_pages": scan.stats.total(),
        "zero_pages": zero,
        "kept_pages_at_level_31": scan.kept.count() - zero,
        "suspicious_blocks": scan.stats.suspicious_blocks,
        "classes": classes,
    })
}
