// SPDX-License-Identifier: GPL-2.0-or-later
//! What came out, for people and for programs.

use anyhow::Result;
use serde_json::{Map, json};
use std::path::Path;
use vmcore::addr::PAGE_SIZE;
use vmcore::codec::Codec;
use vmcore::pages::{Class, Level, Scan};
use vmcore::write::Written;

/// The result of a filter job.
pub struct Report<'a> {
    /// The source.
    pub dump: &'a Path,
    /// The target.
    pub output: &'a Path,
    /// The level that fitted.
    pub level: Level,
    /// Page compression.
    pub codec: Codec,
    /// What the pages were.
    pub scan: &'a Scan,
    /// What was written.
    pub written: Written,
    /// Wall time of the whole job.
    pub seconds: f64,
    /// Whether the pages were compared.
    pub verified: bool,
}

impl Report<'_> {
    /// Prints it: JSON on stdout, or lines on stderr.
    ///
    /// # Errors
    /// Never in practice: serialising numbers.
    pub fn print(&self, as_json: bool, table: bool) -> Result<()> {
        if as_json {
            println!("{}", serde_json::to_string(&self.json())?);
            return Ok(());
        }
        let total = self.scan.stats.total();
        let (pages, bytes) = (self.written.pages, self.written.bytes);
        eprintln!(
            "{}: {pages} of {total} pages at level {}, {}, {} ({:.1} %) in {:.2} s{}",
            self.output.display(),
            self.level,
            self.codec.name(),
            human(bytes),
            100.0 * bytes as f64 / (total * PAGE_SIZE).max(1) as f64,
            self.seconds,
            if self.verified { ", verified" } else { "" },
        );
        if table {
            self.table();
        }
        let suspicious = self.scan.stats.suspicious_blocks;
        if suspicious > 0 {
            eprintln!("{suspicious} blocks with an impossible order: their pages were kept");
        }
        Ok(())
    }

    fn table(&self) {
        eprintln!(
            "{:<16} {:>12} {:>10}  at level {}",
            "class", "pages", "MiB", self.level
        );
        for class in Class::ALL {
            let pages = self.scan.stats.count(class);
            if pages > 0 {
                let verdict = if self.level.keeps(class) {
                    "kept"
                } else {
                    "left out"
                };
                let mib = (pages * PAGE_SIZE) >> 20;
                eprintln!("{:<16} {pages:>12} {mib:>10}  {verdict}", class.name());
            }
        }
        let zero = self.written.zero_pages;
        let mib = (zero * PAGE_SIZE) >> 20;
        eprintln!(
            "{:<16} {zero:>12} {mib:>10}  of those kept, stored once",
            "zero"
        );
    }

    fn json(&self) -> serde_json::Value {
        let classes: Map<_, _> = Class::ALL
            .into_iter()
            .map(|class| (class.name().to_owned(), self.scan.stats.count(class).into()))
            .collect();
        json!({
            "source": self.dump,
            "output": self.output,
            "level": self.level.number(),
            "compression": self.codec.name(),
            "ram_pages": self.scan.stats.total(),
            "pages": self.written.pages,
            "zero_pages": self.written.zero_pages,
            "unreadable_pages": self.written.unreadable_pages,
            "suspicious_blocks": self.scan.stats.suspicious_blocks,
            "bytes": self.written.bytes,
            "seconds": self.seconds,
            "verified": self.verified,
            "classes": classes,
        })
    }
}

fn human(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
