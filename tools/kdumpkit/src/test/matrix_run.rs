// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit test run`: the scenarios of tests/scenarios, in a run that can be ended at any point and taken up again.

use super::args::{ReportArgs, RunArgs};
use super::formats::ktap::Ktap;
use super::journal::{self, Cell, Journal, Plan};
use super::progress::{Line, Progress};
use super::report::{self, Report};
use super::runner::{self, Execute, Options};
use super::verdict;
use crate::tree::Tree;
use crate::vm::Lab;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where runs are that have no folder of their own.
pub const RUNS: &str = "build/matrix";

/// One for each kernel of the run.
pub(super) struct Labs(pub(super) BTreeMap<String, Lab>);

impl Execute for Labs {
    fn execute(&self, cell: &Cell, folder: &Path, line: &Line) -> Report {
        match self.0.get(&cell.kernel) {
            Some(lab) => lab.execute(cell, folder, line),
            None => {
                let mut report = verdict::blank(&cell.scenario, &cell.id, &cell.kernel);
                report.reason = Some(format!("the kernel {} is not here any more", cell.kernel));
                report
            }
        }
    }

    fn tidy(&self, cell: &Cell, folder: &Path) {
        if let Some(lab) = self.0.get(&cell.kernel) {
            lab.tidy(cell, folder);
        }
    }
}

/// Runs or goes on with a run.
///
/// # Errors
/// What all scenarios need is missing, or the run's folder cannot be used.
pub fn main(args: &RunArgs) -> Result<ExitCode> {
    let tree = Tree::find()?;
    let labs = labs(&tree, &args.selection.kernels)?;
    let plan = plan(args, &tree, &labs)?;
    let journal = open(args, &tree, plan)?;
    let ktap = args
        .outputs
        .ktap
        .then(|| Ktap::begin(journal.plan(), &journal.reports().unwrap_or_default()));
    let options = Options {
        jobs: args.jobs.number().clamp(1, journal.plan().cells.len()),
        keep: args.keep,
    };
    let on_report = |report: &Report| match &ktap {
        Some(ktap) => ktap.report(report),
        None => println!("{}", report.verdict_line()),
    };
    runner::run(
        &Labs(labs),
        &journal,
        options,
        &Progress::default(),
        &on_report,
    )?;
    finish(journal.folder(), args)
}

fn finish(run: &Path, args: &RunArgs) -> Result<ExitCode> {
    let reports = journal::reports(run)?;
    args.outputs.write(run, &reports)?;
    eprintln!("{}\nrun: {}", report::summary(&reports), run.display());
    Ok(super::exit_code(&reports))
}

/// Writes the reports of a run that is there.
///
/// # Errors
/// There is none, or a report cannot be written.
pub fn report(args: &ReportArgs) -> Result<ExitCode> {
    let reports = journal::reports(&args.run)?;
    if args.outputs.ktap {
        Ktap::begin(&journal::read_plan(&args.run)?, &reports);
    }
    args.outputs.write(&args.run, &reports)?;
    eprintln!("{}", report::summary(&reports));
    Ok(super::exit_code(&reports))
}

pub(super) fn labs(tree: &Tree, kernels: &[String]) -> Result<BTreeMap<String, Lab>> {
    let mut wanted: Vec<Option<&str>> = kernels.iter().map(|k| Some(k.as_str())).collect();
    if wanted.is_empty() {
        wanted.push(None);
    }
    wanted
        .into_iter()
        .map(|kernel| {
            let lab = super::make_lab(tree, kernel)?;
            Ok((lab.kernel.release.clone(), lab))
        })
        .collect()
}

fn plan(args: &RunArgs, tree: &Tree, labs: &BTreeMap<String, Lab>) -> Result<Plan> {
    let mut cells = Vec::new();
    for release in labs.keys() {
        for scenario in args.selection.scenarios(Some(tree), release)? {
            cells.push(Cell {
                id: format!("{}@{}", scenario.name, report::version(release)),
                kernel: release.clone(),
                scenario,
            });
        }
    }
    ensure!(
        !cells.is_empty(),
        "no scenario fits: `kdumpkit matrix list` shows what there is"
    );
    Ok(Plan {
        cells,
        begun: jiff::Timestamp::now(),
        title: args.selection.title(),
    })
}

/// The run that was asked for: the one named, an unfinished one with the same cells, or a new one.
fn open(args: &RunArgs, tree: &Tree, plan: Plan) -> Result<Journal> {
    if let Some(folder) = &args.run {
        if !args.fresh && folder.join("plan.json").exists() {
            let journal = Journal::resume(folder)?;
            ensure!(
                journal.plan().cells == plan.cells,
                "{} is a run of other scenarios ({}): name another folder, or ask for the same with --suite and --filter",
                folder.display(),
                journal.plan().title
            );
            return Ok(journal);
        }
        return Journal::begin(folder, plan);
    }
    let runs = tree.path(RUNS);
    if !args.fresh {
        for folder in newest_first(&runs) {
            let same = journal::read_plan(&folder).is_ok_and(|p| p.cells == plan.cells);
            if same && !journal::is_finished(&folder) {
                return Journal::resume(&folder);
            }
        }
    }
    let name = plan.begun.strftime("%Y%m%d-%H%M%S").to_string();
    Journal::begin(&runs.join(name), plan)
}

/// Folders of runs; their names are their dates.
pub(super) fn newest_first(runs: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(runs)
        .map(|entries| entries.flatten().map(|e| e.path()).collect())
        .unwrap_or_default();
    all.retain(|path| path.join("plan.json").exists());
    all.sort();
    all.reverse();
    all
}

/// Finds a run: a folder, or the newest one.
///
/// # Errors
/// There is none.
pub fn find_run(tree: &Tree, run: Option<&Path>) -> Result<PathBuf> {
    match run {
        Some(run) => Ok(run.to_owned()),
        None => newest_first(&tree.path(RUNS))
            .into_iter()
            .next()
            .context("there is no run yet: `kdumpkit test run` makes one"),
    }
}
