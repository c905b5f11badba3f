// SPDX-License-Identifier: GPL-2.0-or-later
//! What came out, for people and for programs.

use super::job::{Job, Target};
use anyhow::Result;
use serde_json::{Map, json};
use vmcore::addr::PAGE_SIZE;
use vmcore::pages::{Class, Level, Scan};
use vmcore::write::{Check, Unreadable, Written};

/// The result of a filter job.
pub struct Report<'a> {
    /// What was asked for.
    pub job: &'a Job,
    /// The level that fitted, with what the source had already left out.
    pub level: Level,
    /// What the dump says about itself: that the kernel was not known.
    pub remark: Option<&'a str>,
    /// What the pages were.
    pub scan: &'a Scan,
    /// What was written.
    pub written: Written,
    /// Wall time of the whole job.
    pub seconds: f64,
}

impl Report<'_> {
    /// Prints it: JSON on stdout (on stderr when the dump goes to stdout), or lines on stderr.
    ///
    /// # Errors
    /// Never in practice: serialising numbers.
    pub fn print(&self) -> Result<()> {
        if self.job.json {
            let text = serde_json::to_string(&self.json())?;
            match self.job.target {
                Target::Stdout { .. } => eprintln!("{text}"),
                _ => println!("{text}"),
            }
            return Ok(());
        }
        let total = self.scan.stats.total();
        let (pages, bytes) = (self.written.pages, self.written.bytes);
        eprintln!(
            "{}: {pages} of {total} pages at level {}, {}, {} ({:.1} %) in {:.2} s{}",
            self.target(),
            self.level,
            self.format(),
            human(bytes),
            100.0 * bytes as f64 / (total * PAGE_SIZE).max(1) as f64,
            self.seconds,
            match (self.written.read_back, self.job.check) {
                (true, _) => ", read back and verified",
                (false, Check::No) => ", not verified",
                // Pages of an ELF stream are copied, there is nothing to decode.
                (false, _) if self.job.elf => "",
                (false, _) => ", verified before writing",
            },
        );
        if let Some(remark) = self.remark {
            eprintln!("the dump carries a remark: {remark}");
        }
        if self.job.stats {
            self.table();
        }
        let unknown = self.scan.stats.count(Class::Unknown);
        if unknown > 0 {
            eprintln!("{unknown} pages whose struct page cannot be read: they were kept");
        }
        let suspicious = self.scan.stats.suspicious_blocks;
        if suspicious > 0 {
            eprintln!("{suspicious} blocks with an impossible order: their pages were kept");
        }
        Ok(())
    }

    fn target(&self) -> String {
        match &self.job.target {
            Target::File(path) => path.display().to_string(),
            Target::Stdout { .. } => "stdout".into(),
            Target::Split(paths) => {
                let names: Vec<_> = paths
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect();
                names.join(" ")
            }
        }
    }

    fn format(&self) -> &'static str {
        match self.job.elf {
            true => "ELF",
            false => self.job.codec.name(),
        }
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
            "source": self.job.dump,
            "mkdfinfo": self.job.info,
            "output": self.target(),
            "level": self.level.number(),
            "format": self.format(),
            "ram_pages": self.scan.stats.total(),
            "pages": self.written.pages,
            "zero_pages": self.written.zero_pages,
            "unreadable": unreadable(&self.written.unreadable),
            "suspicious_blocks": self.scan.stats.suspicious_blocks,
            "bytes": self.written.bytes,
            "seconds": self.seconds,
            "verified": self.written.read_back,
            "remark": self.remark,
            "classes": classes,
        })
    }
}

/// Absent when every page could be read. Page frames from the first to the last of each run.
fn unreadable(all: &Unreadable) -> Option<serde_json::Value> {
    let runs = all.runs.iter().map(|run| [run.start, run.end - 1]);
    (all.pages > 0).then(|| json!({ "pages": all.pages, "pfns": runs.collect::<Vec<_>>() }))
}

fn human(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
