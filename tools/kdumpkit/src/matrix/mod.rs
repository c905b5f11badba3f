// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit matrix`: the crash matrix as data. [`file`] is what tests/scenarios may say, [`resolve`] makes scenarios of
//! it, [`filter`] chooses among them, [`table`] shows what became of them.

pub mod file;
mod filter;
mod resolve;
mod table;

pub use filter::{Filter, matches};
pub use resolve::destroys_data;

use crate::test;
use crate::test::scenario::Scenario;
use crate::tree::Tree;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use file::ScenarioFile;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where scenario files are in the source tree.
const SCENARIOS: &str = "tests/scenarios";
/// The suite that is meant when none is asked for.
const SUITE: &str = "daily";

/// The crash matrix: what there is, what a scenario is made of, run it, show what became of it.
#[derive(Debug, Args)]
pub struct MatrixArgs {
    #[command(subcommand)]
    command: MatrixCommand,
}

#[derive(Debug, Subcommand)]
enum MatrixCommand {
    /// List scenarios
    List(ListArgs),
    /// Show everything about a scenario, as TOML
    Show(ShowArgs),
    /// Run scenarios (the same as `kdumpkit test run`)
    Run(test::RunArgs),
    /// Make the table kernel x point x type of runs, for Documentation/
    Table(table::TableArgs),
}

/// Which scenarios.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// Suites, comma-separated; `*` stands for all. Without --suite and --filter: daily
    #[arg(long = "suite", value_name = "SUITE", value_delimiter = ',')]
    suites: Vec<String>,
    /// KEY=PATTERN[,PATTERN…] with a key of name, point, type, suite, device, skip; all filters must fit
    #[arg(long = "filter", value_name = "EXPR")]
    filters: Vec<Filter>,
    /// Kernels, comma-separated: release or the start of one; the newest 7.x on offer otherwise
    #[arg(
        long = "kernel",
        value_name = "VER",
        value_delimiter = ',',
        env = "KVER"
    )]
    pub(crate) kernels: Vec<String>,
    /// Folder with scenario files instead of tests/scenarios
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    selection: Selection,
    /// One JSON array instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Name of the scenario
    name: String,
    /// Kernel for which the rules are applied: release or the start of one
    #[arg(long, value_name = "VER", env = "KVER", default_value = "7.3")]
    kernel: String,
    /// Folder with scenario files instead of tests/scenarios
    #[arg(long, value_name = "DIR")]
    scenarios: Option<PathBuf>,
}

/// Runs `kdumpkit matrix`.
///
/// # Errors
/// Scenario files are not understood, no scenario fits, or running them fails.
pub fn main(args: &MatrixArgs) -> Result<ExitCode> {
    match &args.command {
        MatrixCommand::List(args) => list(args),
        MatrixCommand::Show(args) => show(args),
        MatrixCommand::Run(args) => test::run(args),
        MatrixCommand::Table(args) => table::main(args),
    }
}

/// The scenario files: of this folder, of the source tree, or those built in.
///
/// # Errors
/// They are not understood.
pub fn files(tree: Option<&Tree>, folder: Option<&Path>) -> Result<ScenarioFile> {
    match (folder, tree) {
        (Some(folder), _) => ScenarioFile::read_folder(folder),
        (None, Some(tree)) => ScenarioFile::read_folder(&tree.path(SCENARIOS)),
        (None, None) => ScenarioFile::built_in(),
    }
}

impl Selection {
    /// The scenarios that are meant, for a kernel of this release.
    ///
    /// # Errors
    /// Scenario files are not understood.
    pub fn scenarios(&self, tree: Option<&Tree>, release: &str) -> Result<Vec<Scenario>> {
        let mut all = files(tree, self.scenarios.as_deref())?.scenarios(release)?;
        let suites = self.suites();
        all.retain(|scenario| {
            let in_suite = |s: &String| suites.iter().any(|wanted| filter::matches(wanted, s));
            (suites.is_empty() || scenario.suites.iter().any(in_suite))
                && self.filters.iter().all(|filter| filter.takes(scenario))
        });
        Ok(all)
    }

    fn suites(&self) -> Vec<String> {
        if self.suites.is_empty() && self.filters.is_empty() {
            return vec![SUITE.to_owned()];
        }
        self.suites.clone()
    }

    /// What was asked for, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let mut parts = self.suites();
        parts.extend(self.filters.iter().map(ToString::to_string));
        parts.join(" ")
    }
}

fn list(args: &ListArgs) -> Result<ExitCode> {
    let tree = Tree::find().ok();
    let release = args.selection.kernels.first().map_or("7.3", String::as_str);
    let scenarios = args.selection.scenarios(tree.as_ref(), release)?;
    let mut out = stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &scenarios)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    for s in &scenarios {
        let note = match &s.skip {
            Some(reason) => format!("skipped: {reason}"),
            None => s
                .devices
                .iter()
                .map(|d| d.name.as_str())
                .collect::<Vec<_>>()
                .join(" "),
        };
        writeln!(out, "{:<32} {:<20} {note}", s.name, s.suites.join(","))?;
    }
    writeln!(out, "{} scenarios", scenarios.len())?;
    Ok(ExitCode::SUCCESS)
}

fn show(args: &ShowArgs) -> Result<ExitCode> {
    let tree = Tree::find().ok();
    let all = files(tree.as_ref(), args.scenarios.as_deref())?.scenarios(&args.kernel)?;
    let scenario = all.iter().find(|s| s.name == args.name).with_context(|| {
        format!(
            "no scenario is called {}; `kdumpkit matrix list --suite '*'` shows all",
            args.name
        )
    })?;
    print!("{}", toml::to_string_pretty(scenario)?);
    Ok(ExitCode::SUCCESS)
}
