// SPDX-License-Identifier: GPL-2.0-or-later
//! One self-contained HTML page about a run: grid point x type, timings, every scenario in full, trend.

use super::trend::Trend;
use crate::event::{Event, Stage};
use crate::test::journal::Plan;
use crate::test::report::{Outcome, Report};
use anyhow::{Context, Result};
use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

const TEMPLATE: &str = include_str!("report.html");
/// So much of a console's end is shown for what did not pass.
const CONSOLE_BYTES: u64 = 16 << 10;

/// What the template shows.
#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    begun: String,
    planned: usize,
    total: usize,
    shares: Vec<Share>,
    grids: Vec<Grid>,
    /// Seconds of the longest scenario.
    longest: f64,
    crash_to_dump: Option<String>,
    guest_minutes: String,
    details: Vec<Detail<'a>>,
    trend: Option<Trend>,
}

/// One kernel's grid.
#[derive(Serialize)]
struct Grid {
    kernel: String,
    columns: Vec<String>,
    rows: Vec<Row>,
    /// Scenarios that are no cell of the grid.
    others: Vec<Cell>,
}

#[derive(Serialize)]
struct Row {
    point: String,
    symbol: String,
    cells: Vec<Option<Cell>>,
}

/// A scenario in the grid.
#[derive(Serialize)]
struct Cell {
    id: String,
    name: String,
    outcome: Outcome,
    context: String,
    seconds: String,
    title: String,
}

/// A scenario in full.
#[derive(Serialize)]
struct Detail<'a> {
    report: &'a Report,
    seconds: String,
    dump_mib: String,
    phases: Vec<Phase>,
    events: Vec<(String, String)>,
    /// Relative to the page, when it was kept.
    folder: Option<String>,
    console: Option<String>,
}

/// A stretch of a cycle's time.
#[derive(Serialize)]
struct Phase {
    name: &'static str,
    class: &'static str,
    seconds: f64,
}

/// How many there are of an outcome.
#[derive(Serialize)]
struct Share {
    outcome: Outcome,
    count: usize,
}

/// The page for `reports` of the run in `run`; links are relative to the folder of `page`.
///
/// # Errors
/// Never, as far as the tests can tell.
pub fn document(run: &Path, page: &Path, plan: &Plan, reports: &[Report]) -> Result<String> {
    let mut environment = Environment::new();
    environment.add_template("report.html", TEMPLATE)?;
    let template = environment.get_template("report.html")?;
    let details: Vec<Detail> = reports.iter().map(|r| detail(r, page)).collect();
    let longest = details
        .iter()
        .map(|d| d.phases.iter().map(|p| p.seconds).sum::<f64>());
    let page = Page {
        title: &plan.title,
        begun: plan.begun.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        planned: plan.cells.len(),
        total: reports.len(),
        shares: shares(reports),
        grids: grids(reports),
        longest: longest.fold(1.0, f64::max),
        crash_to_dump: crash_to_dump(reports),
        guest_minutes: format!(
            "{:.0}",
            reports.iter().map(|r| r.seconds).sum::<f64>() / 60.0
        ),
        details,
        trend: Trend::of(run, reports),
    };
    template
        .render(Serde(&page))
        .context("rendering the HTML page")
}

fn shares(reports: &[Report]) -> Vec<Share> {
    let count = |outcome| reports.iter().filter(|r| r.outcome == outcome).count();
    let all = Outcome::ALL.map(|outcome| Share {
        outcome,
        count: count(outcome),
    });
    all.into_iter()
        .filter(|share| share.count > 0 || share.outcome == Outcome::Pass)
        .collect()
}

/// `median 11.3 s, from 8.2 to 31.5 s`
fn crash_to_dump(reports: &[Report]) -> Option<String> {
    let mut all: Vec<u64> = reports.iter().filter_map(|r| r.crash_to_dump_ms).collect();
    all.sort_unstable();
    let s = |ms: &u64| *ms as f64 / 1000.0;
    let (least, most) = (all.first()?, all.last()?);
    Some(format!(
        "median {:.1} s, from {:.1} to {:.1} s",
        s(&all[all.len() / 2]),
        s(least),
        s(most)
    ))
}

fn grids(reports: &[Report]) -> Vec<Grid> {
    let mut kernels: Vec<&str> = reports.iter().map(|r| r.kernel.as_str()).collect();
    kernels.sort_unstable();
    kernels.dedup();
    kernels
        .into_iter()
        .map(|kernel| grid(kernel, reports))
        .collect()
}

fn grid(kernel: &str, reports: &[Report]) -> Grid {
    let of: Vec<&Report> = reports.iter().filter(|r| r.kernel == kernel).collect();
    let is_cell = |r: &&&Report| r.name == format!("{}-{}", r.point, r.crash_type);
    let mut columns: Vec<String> = Vec::new();
    let mut rows: Vec<Row> = Vec::new();
    for report in of.iter().filter(is_cell) {
        if !columns.contains(&report.crash_type) {
            columns.push(report.crash_type.clone());
        }
        if !rows.iter().any(|row| row.point == report.point) {
            rows.push(Row {
                point: report.point.clone(),
                symbol: String::new(),
                cells: Vec::new(),
            });
        }
    }
    for row in &mut rows {
        let mut of_row = of.iter().filter(|r| r.point == row.point);
        row.symbol = of_row.find_map(|r| r.symbol.clone()).unwrap_or_default();
        let find = |column: &String| {
            let name = format!("{}-{column}", row.point);
            of.iter().find(|r| r.name == name).map(|r| cell(r))
        };
        row.cells = columns.iter().map(find).collect();
    }
    let others = of.iter().filter(|r| !is_cell(r)).map(|r| cell(r)).collect();
    Grid {
        kernel: kernel.to_owned(),
        columns,
        rows,
        others,
    }
}

fn cell(report: &Report) -> Cell {
    let reason = report.reason.clone().unwrap_or_default();
    Cell {
        id: report.id.clone(),
        name: report.name.clone(),
        outcome: report.outcome,
        context: report.context.clone().unwrap_or_default(),
        seconds: if report.seconds > 0.0 {
            format!("{:.0} s", report.seconds)
        } else {
            String::new()
        },
        title: format!("{}: {}\n{reason}", report.id, report.outcome)
            .trim()
            .to_owned(),
    }
}

fn detail<'a>(report: &'a Report, page: &Path) -> Detail<'a> {
    let kept = report.folder.as_deref().filter(|folder| folder.exists());
    let passed = matches!(report.outcome, Outcome::Pass | Outcome::Skipped);
    Detail {
        report,
        seconds: format!("{:.1}", report.seconds),
        dump_mib: format!("{:.1}", report.dump_bytes as f64 / f64::from(1 << 20)),
        phases: phases(report),
        events: report
            .events
            .iter()
            .map(|h| {
                (
                    format!("{:.1}", h.at_ms as f64 / 1000.0),
                    h.event.to_string(),
                )
            })
            .collect(),
        folder: kept.map(|folder| relative(folder, page)),
        console: kept
            .filter(|_| !passed)
            .and_then(|folder| end_of(&folder.join("console.log"))),
    }
}

/// Where the time went, from the first event that marks each step.
fn phases(report: &Report) -> Vec<Phase> {
    let at = |wanted: &dyn Fn(&Event) -> bool| {
        report
            .events
            .iter()
            .find(|h| wanted(&h.event))
            .map(|h| h.at_ms as f64 / 1000.0)
    };
    let boot = |stage| move |e: &Event| matches!(e, Event::Boot { stage: s, .. } if *s == stage);
    let marks = [
        ("boot of the first kernel", "boot", at(&boot(Stage::First))),
        (
            "load, arm, until the crash",
            "arm",
            at(&|e| matches!(e, Event::Crash { .. })),
        ),
        (
            "crash, and boot of the capture kernel",
            "kexec",
            at(&boot(Stage::Capture)),
        ),
        (
            "writing the dump",
            "dump",
            at(&|e| matches!(e, Event::Dump { .. })),
        ),
        (
            "end, and reading the dump back",
            "judge",
            Some(report.seconds),
        ),
    ];
    let mut before = 0.0;
    let mut phases = Vec::new();
    for (name, class, end) in marks {
        if let Some(end) = end.filter(|end| *end >= before) {
            phases.push(Phase {
                name,
                class,
                seconds: ((end - before) * 10.0).round() / 10.0,
            });
            before = end;
        }
    }
    phases
}

fn relative(folder: &Path, page: &Path) -> String {
    let base = page.parent().and_then(|p| {
        if p.as_os_str().is_empty() {
            Path::new(".").canonicalize()
        } else {
            p.canonicalize()
        }
        .ok()
    });
    match base.and_then(|base| folder.strip_prefix(base).ok().map(Path::to_owned)) {
        Some(relative) => relative.display().to_string(),
        None => format!("file://{}", folder.display()),
    }
}

/// The last lines of a console, without what only a terminal understands.
fn end_of(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let start = file.metadata().ok()?.len().saturating_sub(CONSOLE_BYTES);
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.take(CONSOLE_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = if start > 0 {
        text.split_once('\n').map_or("", |(_, rest)| rest)
    } else {
        &text
    };
    Some(
        text.chars()
            .filter(|c| *c == '\n' || !c.is_control())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::formats::samples;

    fn page(reports: &[Report]) -> String {
        let plan = Plan {
            cells: Vec::new(),
            begun: "2026-11-24T12:00:00Z".parse().unwrap(),
            title: "daily".into(),
        };
        document(
            Path::new("nowhere/run"),
            Path::new("nowhere/page.html"),
            &plan,
            reports,
        )
        .unwrap()
    }

    #[test]
    fn page_when_all_outcomes_has_a_cell_and_a_detail_for_each() {
        let all = [
            samples::passed(),
            samples::failed(),
            samples::lost(),
            samples::skipped(),
        ];
        let page = page(&all);
        for report in &all {
            assert!(
                page.contains(&format!("href=\"#{}\"", report.id)),
                "cell of {}",
                report.id
            );
            assert!(
                page.contains(&format!("id=\"{}\"", report.id)),
                "detail of {}",
                report.id
            );
        }
        assert!(page.contains("it never crashes"));
        assert!(
            !page.contains("http://") && !page.contains("https://"),
            "nothing is fetched from elsewhere"
        );
    }

    #[test]
    fn page_when_a_console_holds_markup_shows_it_as_text() {
        let mut report = samples::failed();
        report.reason = Some("<script>alert(1)</script>".into());
        assert!(!page(&[report]).contains("<script>alert"));
    }

    #[test]
    fn page_when_nothing_was_run_is_still_a_page() {
        assert!(page(&[]).contains("</html>"));
    }
}
