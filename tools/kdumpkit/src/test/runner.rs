// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs the cells of a journal, several at once, and records each before the next one starts.

use super::journal::{Cell, Journal};
use super::progress::{Line, Progress};
use super::report::{Outcome, Report};
use super::verdict;
use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// What runs a cell.
pub trait Execute: Sync {
    /// Runs it in `folder`, which exists and is empty. Whatever happens is in the report.
    fn execute(&self, cell: &Cell, folder: &Path, line: &Line) -> Report;

    /// Of a folder that is kept, removes what can be made again.
    fn tidy(&self, cell: &Cell, folder: &Path);
}

/// How a run is to behave.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Cells at once.
    pub jobs: usize,
    /// Keep the folders of cells that passed, too.
    pub keep: bool,
}

/// Runs what is pending.
///
/// # Errors
/// The journal cannot be read or written. What was recorded before stays.
pub fn run(
    executor: &impl Execute,
    journal: &Journal,
    options: Options,
    progress: &Progress,
    on_report: &(dyn Fn(&Report) + Sync),
) -> Result<()> {
    let pending = journal.pending()?;
    progress.begin(journal.plan().cells.len(), pending.len(), options.jobs);
    let queue = Mutex::new(VecDeque::from(pending));
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(cell) = next() {
                        let report =
                            run_cell(executor, &cell, journal.folder(), options.keep, progress)?;
                        journal.record(&report)?;
                        progress.done(&report);
                        on_report(&report);
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| anyhow::bail!("a worker panicked"))
            })
            .collect::<Result<Vec<()>>>()
    })?;
    progress.end();
    Ok(())
}

fn run_cell(
    executor: &impl Execute,
    cell: &Cell,
    run: &Path,
    keep: bool,
    progress: &Progress,
) -> Result<Report> {
    if let Some(reason) = &cell.scenario.skip {
        let mut report = verdict::blank(&cell.scenario, &cell.id, &cell.kernel);
        report.outcome = Outcome::Skipped;
        report.reason = Some(reason.clone());
        return Ok(report);
    }
    let start = Instant::now();
    let folder = run.join(&cell.id);
    // What is there was left by a runner that was killed: it has no report, so nobody has seen it.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let line = progress.line(&cell.id);
    let mut report = executor.execute(cell, &folder, &line);
    report.seconds = start.elapsed().as_secs_f64();
    line.finish();
    if report.outcome != Outcome::Pass || keep {
        executor.tidy(cell, &folder);
        report.folder = Some(folder);
    } else {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(report)
}
