// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit matrix table`: what runs came to, as a page of Documentation/.

use crate::atomic;
use crate::test;
use crate::test::journal;
use crate::test::report::{Outcome, Report};
use crate::tree::Tree;
use anyhow::Result;
use clap::Args;
use modlogic::lkdtm::points::POINTS;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// `kdumpkit matrix table`.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// Folders of runs; the newest one otherwise. Of a scenario that is in several, the last one counts
    runs: Vec<PathBuf>,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn main(args: &TableArgs) -> Result<ExitCode> {
    let mut runs = args.runs.clone();
    if runs.is_empty() {
        runs.push(test::find_run(&Tree::find()?, None)?);
    }
    let mut reports: BTreeMap<String, Report> = BTreeMap::new();
    let mut order = Vec::new();
    for run in &runs {
        for report in journal::reports(run)? {
            if reports.insert(report.id.clone(), report.clone()).is_none() {
                order.push(report.id);
            }
        }
    }
    let reports: Vec<Report> = order.iter().filter_map(|id| reports.remove(id)).collect();
    let page = page(&reports);
    match &args.output {
        Some(path) => atomic::write(path, page.as_bytes())?,
        None => print!("{page}"),
    }
    Ok(ExitCode::SUCCESS)
}

const HEAD: &str = ".. SPDX-License-Identifier: GPL-2.0-or-later
.. Made by kdumpkit matrix table from the runs it names; do not edit.

The crash matrix, as run
========================
";

fn page(reports: &[Report]) -> String {
    let mut page = HEAD.to_owned();
    let mut kernels: Vec<&str> = reports.iter().map(|r| r.kernel.as_str()).collect();
    kernels.dedup();
    for kernel in kernels {
        let of: Vec<&Report> = reports.iter().filter(|r| r.kernel == kernel).collect();
        kernel_part(&mut page, kernel, &of);
    }
    page
}

fn kernel_part(page: &mut String, kernel: &str, reports: &[&Report]) {
    let count = |o| reports.iter().filter(|r| r.outcome == o).count();
    let [pass, fail, lost, skipped] = Outcome::ALL.map(count);
    let minutes = reports.iter().map(|r| r.seconds).sum::<f64>() / 60.0;
    let mut crash_to_dump: Vec<u64> = reports.iter().filter_map(|r| r.crash_to_dump_ms).collect();
    crash_to_dump.sort_unstable();
    let _ = write!(page, "\n{kernel}\n{}\n\n", "-".repeat(kernel.len()));
    let _ = writeln!(
        page,
        "{} scenarios: {pass} passed, {fail} failed, {lost} lost, {skipped} skipped; {minutes:.0} minutes of guest time.",
        reports.len()
    );
    if let (Some(least), Some(most)) = (crash_to_dump.first(), crash_to_dump.last()) {
        let median = crash_to_dump[crash_to_dump.len() / 2];
        let s = |ms: u64| ms as f64 / 1000.0;
        let _ = writeln!(
            page,
            "From the crash to the complete dump: median {:.1} s, from {:.1} to {:.1} s.",
            s(median),
            s(*least),
            s(*most)
        );
    }
    grid(page, reports);
    exceptions(page, reports);
}

/// One row a point, with the symbol that was probed; one column a type.
fn grid(page: &mut String, reports: &[&Report]) {
    let (cells, others): (Vec<&Report>, Vec<&Report>) = reports
        .iter()
        .partition(|r| r.name == format!("{}-{}", r.point, r.crash_type));
    let columns = unique(cells.iter().map(|r| r.crash_type.as_str()));
    let head = ["point", "symbol"]
        .into_iter()
        .chain(columns.iter().copied());
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    let mut points = unique(cells.iter().map(|r| r.point.as_str()));
    points.sort_by_key(|point| POINTS.iter().position(|p| p.name == *point));
    for point in points {
        let of_point = || cells.iter().filter(|r| r.point == point);
        let symbol = of_point().find_map(|r| r.symbol.as_deref()).unwrap_or("");
        let verdict = |column: &&str| {
            of_point()
                .find(|r| r.crash_type == *column)
                .map_or(String::new(), |r| mark(r))
        };
        let row = [point.to_owned(), symbol.to_owned()]
            .into_iter()
            .chain(columns.iter().map(verdict));
        rows.push(row.collect());
    }
    if !cells.is_empty() {
        let _ = write!(page, "\n{}", rst_table(&rows));
    }
    let mut rows = vec![
        ["scenario", "point", "type", "verdict"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for r in &others {
        let point = if r.crash_type == "-" { "" } else { &r.point };
        rows.push(vec![
            r.name.clone(),
            point.to_owned(),
            r.crash_type.replace('-', ""),
            mark(r),
        ]);
    }
    if !others.is_empty() {
        let _ = write!(page, "\n{}", rst_table(&rows));
    }
}

fn mark(report: &Report) -> String {
    match (report.outcome, report.context.as_deref()) {
        (Outcome::Pass, Some(context)) => format!("pass ({context})"),
        (outcome, _) => outcome.to_string(),
    }
}

/// Whatever did not pass, and why.
fn exceptions(page: &mut String, reports: &[&Report]) {
    for report in reports.iter().filter(|r| r.outcome != Outcome::Pass) {
        let reason = report.reason.as_deref().unwrap_or("");
        let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = line.chars().take(300).collect();
        let _ = writeln!(
            page,
            "\n``{}``: {}: ``{}``",
            report.name,
            report.outcome,
            short.replace('`', "'")
        );
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// A simple table; the first row is its head. An empty first cell would be a continuation, so there is none.
fn rst_table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |n: usize| {
        rows.iter()
            .filter_map(|r| r.get(n))
            .map(|c| c.chars().count())
            .max()
            .unwrap_or(0)
            .max(1)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let ruler = widths
        .iter()
        .map(|w| "=".repeat(*w))
        .collect::<Vec<_>>()
        .join(" ");
    let mut text = format!("{ruler}\n");
    for (n, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, w)| format!("{cell:<w$}"))
            .collect();
        let _ = writeln!(text, "{}", cells.join(" ").trim_end());
        if n == 0 {
            let _ = writeln!(text, "{ruler}");
        }
    }
    text + &ruler + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::formats::samples;

    #[test]
    fn page_when_all_outcomes_shows_each_and_explains_those_that_did_not_pass() {
        let page = page(&[
            samples::passed(),
            samples::failed(),
            samples::lost(),
            samples::skipped(),
        ]);
        assert!(
            page.contains("4 scenarios: 1 passed, 1 failed, 1 lost, 1 skipped"),
            "{page}"
        );
        assert!(page.contains("pass (hardirq)"), "{page}");
        assert!(
            page.contains("``TIMERADD-LOOP``: lost: ``nothing heard"),
            "{page}"
        );
        let rulers: Vec<&str> = page
            .lines()
            .filter(|l| l.starts_with("=== ") || l.contains("= ="))
            .collect();
        assert_eq!(rulers.len(), 3, "{page}");
        assert!(rulers.iter().all(|r| r == &rulers[0]));
    }
}
