// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit test --point …`: scenarios from the command line.

use super::args::AdHocArgs;
use super::journal::{Cell, Journal, Plan};
use super::progress::Progress;
use super::report;
use super::runner::{self, Options};
use super::scenario::Sabotage;
use crate::matrix;
use crate::matrix::file::Entry;
use crate::tree::Tree;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

pub(super) fn main(args: &AdHocArgs) -> Result<ExitCode> {
    let tree = Tree::find()?;
    let lab = super::make_lab(&tree, args.kernel.as_deref())?;
    let entry = Entry {
        points: args.points.clone(),
        types: args.types.clone(),
        count: args.count,
        recur: args.recur,
        collector: Some(args.collector.name()),
        crashkernel: Some(args.crashkernel.clone()),
        deadline_s: Some(args.deadline),
        sabotage: args.hang_capture.then_some(Sabotage::HangCapture),
        ..Entry::default()
    };
    let scenarios = matrix::files(Some(&tree), None)?.expand(&entry, &lab.kernel.release)?;
    let cell = |scenario: super::scenario::Scenario| Cell {
        id: scenario.name.clone(),
        kernel: lab.kernel.release.clone(),
        scenario: super::scenario::Scenario {
            skip: None,
            ..scenario
        },
    };
    let plan = Plan {
        cells: scenarios.into_iter().map(cell).collect(),
        begun: jiff::Timestamp::now(),
        title: "scenarios from the command line".to_owned(),
    };
    let options = Options {
        jobs: args.jobs.number().clamp(1, plan.cells.len().max(1)),
        keep: args.keep.is_some(),
    };
    let journal = Journal::begin(&run_folder(&tree, args)?, plan)?;
    let on_report = |report: &report::Report| println!("{}", report.verdict_line());
    runner::run(&lab, &journal, options, &Progress::default(), &on_report)?;
    let reports = journal.reports()?;
    if let Some(file) = &args.json {
        fs::write(file, serde_json::to_vec_pretty(&reports)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    if reports.len() > 1 {
        println!("{}", report::summary(&reports));
    }
    journal.forget();
    Ok(super::exit_code(&reports))
}

fn run_folder(tree: &Tree, args: &AdHocArgs) -> Result<PathBuf> {
    let own = || tree.path(&format!("build/runs/{}", std::process::id()));
    let folder = args.keep.clone().unwrap_or_else(own);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder.canonicalize()?)
}
