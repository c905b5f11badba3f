// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit test soak`: the same scenarios at random again and again; flakiness as a number.

use super::args::Jobs;
use super::formats::Outputs;
use super::journal::{self, Cell, Journal, Plan};
use super::matrix_run::{Labs, labs};
use super::progress::Progress;
use super::report::{self, Outcome, Report};
use super::runner::{self, Options};
use super::scenario::Scenario;
use crate::matrix::Selection;
use crate::tree::Tree;
use anyhow::{Result, ensure};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Where soaks are that have no folder of their own.
const SOAKS: &str = "build/soak";

/// `kdumpkit test soak`.
#[derive(Debug, Args)]
pub struct SoakArgs {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    jobs: Jobs,
    /// Crash cycles in all
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    cycles: u32,
    /// Seed of the order; one is chosen and said when it is not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Folder of this soak: begins it, or goes on with it; build/soak/SEED-CYCLES otherwise
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
}

/// How often something came out wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flakiness {
    /// Times it was tried.
    pub tries: usize,
    /// Times it did not pass.
    pub wrong: usize,
}

impl Flakiness {
    /// Of these reports; what was skipped does not count.
    #[must_use]
    pub fn of<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Self {
        let mut flakiness = Self { tries: 0, wrong: 0 };
        for report in reports {
            match report.outcome {
                Outcome::Skipped => {}
                Outcome::Pass => flakiness.tries += 1,
                Outcome::Fail | Outcome::Lost => {
                    flakiness.tries += 1;
                    flakiness.wrong += 1;
                }
            }
        }
        flakiness
    }

    /// The share that came out wrong, and between what it is with a confidence of 95 % (Wilson score interval).
    #[must_use]
    pub fn shares(self) -> (f64, f64, f64) {
        const Z: f64 = 1.96;
        if self.tries == 0 {
            return (0.0, 0.0, 1.0);
        }
        let n = self.tries as f64;
        let p = self.wrong as f64 / n;
        let centre = p + Z * Z / (2.0 * n);
        let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        (
            p,
            ((centre - spread) / scale).max(0.0),
            ((centre + spread) / scale).min(1.0),
        )
    }
}

impl std::fmt::Display for Flakiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (share, least, most) = self.shares();
        write!(
            f,
            "{} of {} wrong: {:.2} % (95 % confidence: {:.2} to {:.2} %)",
            self.wrong,
            self.tries,
            share * 100.0,
            least * 100.0,
            most * 100.0
        )
    }
}

pub(super) fn main(args: &SoakArgs) -> Result<ExitCode> {
    let tree = Tree::find()?;
    let labs = labs(&tree, &args.selection.kernels)?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    eprintln!(
        "soak: seed {seed}, {} cycles; --seed {seed} repeats this order and goes on with it",
        args.cycles
    );
    let mut scenarios = Vec::new();
    for release in labs.keys() {
        let of_kernel = args.selection.scenarios(Some(&tree), release)?;
        scenarios.extend(
            of_kernel
                .into_iter()
                .filter(|s| s.skip.is_none())
                .map(|s| (release.clone(), s)),
        );
    }
    ensure!(
        !scenarios.is_empty(),
        "no scenario fits: `kdumpkit matrix list` shows what there is"
    );
    let plan = Plan {
        cells: cells(&scenarios, args.cycles, seed),
        begun: jiff::Timestamp::now(),
        title: format!("soak of {}, seed {seed}", args.selection.title()),
    };
    let own = || tree.path(SOAKS).join(format!("{seed}-{}", args.cycles));
    let folder = args.run.clone().unwrap_or_else(own);
    let journal = if folder.join("plan.json").exists() {
        let journal = Journal::resume(&folder)?;
        ensure!(
            journal.plan().cells == plan.cells,
            "{} is a soak of something else: name another folder",
            folder.display()
        );
        journal
    } else {
        Journal::begin(&folder, plan)?
    };
    let options = Options {
        jobs: args.jobs.number(),
        keep: false,
    };
    let on_report = |report: &Report| println!("{}", report.verdict_line());
    runner::run(
        &Labs(labs),
        &journal,
        options,
        &Progress::default(),
        &on_report,
    )?;
    let reports = journal::reports(&folder)?;
    args.outputs.write(&folder, &reports)?;
    print!("{}", conclusion(&reports, seed));
    Ok(super::exit_code(&reports))
}

/// Each cycle is one scenario, drawn with the seed.
fn cells(scenarios: &[(String, Scenario)], cycles: u32, seed: u64) -> Vec<Cell> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cells = Vec::new();
    for n in 1..=cycles {
        if let Some((kernel, scenario)) = random.choice(scenarios) {
            cells.push(Cell {
                id: format!("{n:05}-{}@{}", scenario.name, report::version(kernel)),
                kernel: kernel.clone(),
                scenario: scenario.clone(),
            });
        }
    }
    cells
}

/// The whole, and each scenario that came out wrong at least once.
fn conclusion(reports: &[Report], seed: u64) -> String {
    let mut text = String::new();
    let mut by_name: BTreeMap<(&str, &str), Vec<&Report>> = BTreeMap::new();
    for report in reports {
        by_name
            .entry((&report.name, report.version()))
            .or_default()
            .push(report);
    }
    for ((name, version), of_name) in by_name {
        let flakiness = Flakiness::of(of_name);
        if flakiness.wrong > 0 {
            text += &format!("  {name}@{version}: {flakiness}\n");
        }
    }
    format!("{text}soak: seed {seed}: {}\n", Flakiness::of(reports))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::file::ScenarioFile;
    use crate::test::formats::samples;

    #[test]
    fn cells_when_the_seed_is_the_same_are_the_same() {
        let all = ScenarioFile::built_in().unwrap().scenarios("7.3").unwrap();
        let all: Vec<_> = all.into_iter().map(|s| ("7.3".to_owned(), s)).collect();
        assert_eq!(cells(&all, 50, 7), cells(&all, 50, 7));
        assert_ne!(cells(&all, 50, 7), cells(&all, 50, 8));
        assert_eq!(
            cells(&all, 20, 7)[..],
            cells(&all, 50, 7)[..20],
            "a longer soak begins like the shorter one"
        );
    }

    #[test]
    fn flakiness_when_nothing_went_wrong_is_not_certain_to_be_zero() {
        let (share, least, most) = Flakiness {
            tries: 100,
            wrong: 0,
        }
        .shares();
        assert_eq!((share, least), (0.0, 0.0));
        assert!((0.03..0.04).contains(&most), "{most}");
    }

    #[test]
    fn conclusion_when_one_failed_names_it() {
        let text = conclusion(
            &[
                samples::passed(),
                samples::passed(),
                samples::failed(),
                samples::skipped(),
            ],
            7,
        );
        assert!(text.contains("DIRECT-BUG@7.3.4: 1 of 1 wrong"), "{text}");
        assert!(text.ends_with("confidence: 6.15 to 79.23 %)\n"), "{text}");
    }
}
