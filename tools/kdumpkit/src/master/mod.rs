// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit master`: the crash matrix on a real machine, over real reboots.
//!
//! ```text
//! run ── unit starts `resume` at every boot ──┐
//!                                             v
//!        judge the crash before this boot, if there was one      (judge.rs)
//!        next scenario: load the capture kernel, open the watchdog,
//!        write down what is about to happen, crash               (crash.rs)
//!        nothing left: reports, unit off, the command for the end
//! ```
//! What is known is in two places that are written atomically and synced: the journal of the run ([`crate::test::journal`])
//! has a file for each result, and [`state`] says which scenario is about to crash the machine. Power may go at any point.

mod config;
mod crash;
mod judge;
mod setup;
mod state;
mod watchdog;

pub use config::MasterConfig;

use crate::test::journal::{self, Cell, Journal, Plan};
use crate::test::report::{self, Outcome};
use crate::test::scenario::Scenario;
use crate::{atomic, test};
use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use rustix::system::uname;
use state::{State, Store};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Run the crash matrix on this machine. It will crash and reboot, again and again
#[derive(Debug, Args)]
pub struct MasterArgs {
    #[command(subcommand)]
    command: MasterCommand,
    /// Configuration
    #[arg(long, global = true, value_name = "FILE", default_value = config::PATH)]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum MasterCommand {
    /// Check the machine and install the systemd unit
    Setup,
    /// Remove what setup has installed; results stay
    Remove,
    /// Begin a run, or go on with the one that was stopped
    Run,
    /// Say how far the run is
    Status,
    /// Do not crash any more; a scenario that is being run is still judged
    Stop,
    /// What the systemd unit does at boot
    #[command(hide = true)]
    Resume,
}

/// Runs `kdumpkit master`.
///
/// # Errors
/// The configuration or the machine is not fit for it, or a step failed; the message says which.
pub fn main(args: &MasterArgs) -> Result<ExitCode> {
    let config = MasterConfig::load(&args.config)?;
    match args.command {
        MasterCommand::Setup => setup::install(&config, &args.config),
        MasterCommand::Remove => setup::remove(),
        MasterCommand::Run => run(&config),
        MasterCommand::Status => status(&config),
        MasterCommand::Stop => stop(&config),
        MasterCommand::Resume => resume(&config),
    }
}

fn run(config: &MasterConfig) -> Result<ExitCode> {
    setup::must_be_installed()?;
    let store = Store::open(&config.state)?;
    if !config.run_folder().join("plan.json").exists() || journal::is_finished(&config.run_folder())
    {
        begin(config)?;
    }
    store.write(&State {
        stopped: None,
        ..store.read()?
    })?;
    systemctl(&["enable", setup::UNIT])?;
    systemctl(&["start", "--no-block", setup::UNIT])?;
    println!("begun: `master status` says how far it is, `master stop` ends it");
    Ok(ExitCode::SUCCESS)
}

/// A finished run makes way for the next one.
fn begin(config: &MasterConfig) -> Result<()> {
    let folder = config.run_folder();
    let begun = jiff::Timestamp::now();
    if folder.exists() {
        let plan = journal::read_plan(&folder).map_or(begun, |plan| plan.begun);
        let old = config
            .state
            .join(format!("run-{}", plan.strftime("%Y%m%d-%H%M%S")));
        std::fs::rename(&folder, &old)
            .with_context(|| format!("moving the last run to {}", old.display()))?;
    }
    let release = uname().release().to_string_lossy().into_owned();
    let cells: Vec<Cell> = config
        .scenarios(&release)?
        .into_iter()
        .map(|scenario| Cell {
            id: format!("{}@{}", scenario.name, report::version(&release)),
            kernel: release.clone(),
            scenario,
        })
        .collect();
    ensure!(
        !cells.is_empty(),
        "no scenario fits suites {:?}",
        config.suites
    );
    let title = format!("{} on this machine", config.suites.join(" "));
    Journal::begin(
        &folder,
        Plan {
            cells,
            begun,
            title,
        },
    )?;
    Ok(())
}

fn status(config: &MasterConfig) -> Result<ExitCode> {
    let folder = config.run_folder();
    let plan = journal::read_plan(&folder).context("there is no run: `master run` begins one")?;
    let reports = journal::reports(&folder)?;
    let state = Store::open(&config.state)?.read()?;
    println!("run of {}, begun {}", plan.title, plan.begun);
    println!(
        "{} of {} done; {}",
        reports.len(),
        plan.cells.len(),
        report::summary(&reports)
    );
    for report in reports
        .iter()
        .filter(|r| matches!(r.outcome, Outcome::Fail | Outcome::Lost))
    {
        println!(
            "  {}: {}: {}",
            report.id,
            report.outcome,
            report.reason.as_deref().unwrap_or("")
        );
    }
    if let Some(crash) = &state.crashing {
        println!("being run: {}, attempt {}", crash.cell, crash.attempt);
    }
    if let Some(reason) = &state.stopped {
        println!("stopped: {reason}");
    }
    let done = reports.len() == plan.cells.len();
    println!("{}", if done { "finished" } else { "not finished" });
    Ok(ExitCode::SUCCESS)
}

fn stop(config: &MasterConfig) -> Result<ExitCode> {
    let store = Store::open(&config.state)?;
    store.write(&State {
        stopped: Some("by `master stop`".to_owned()),
        ..store.read()?
    })?;
    systemctl(&["disable", setup::UNIT])?;
    systemctl(&["stop", "--no-block", setup::UNIT])?;
    println!("stopped: `master run` goes on");
    Ok(ExitCode::SUCCESS)
}

fn resume(config: &MasterConfig) -> Result<ExitCode> {
    let store = Store::open(&config.state)?;
    let journal = Journal::resume(&config.run_folder())?;
    judge::last_crash(config, &store, &journal)?;
    if let Some(reason) = store.read()?.stopped {
        say(&format!("stopped: {reason}"));
        return Ok(ExitCode::SUCCESS);
    }
    while let Some(cell) = journal.pending()?.into_iter().next() {
        let total = journal.plan().cells.len();
        let number = total - journal.pending()?.len() + 1;
        if let Some(reason) = &cell.scenario.skip {
            let mut report = test::verdict::blank(&cell.scenario, &cell.id, &cell.kernel);
            report.outcome = Outcome::Skipped;
            report.reason = Some(reason.clone());
            journal.record(&report)?;
            continue;
        }
        say(&format!("scenario {number} of {total}: {}", cell.id));
        if let Err(error) = crash::crash(config, &store, &cell) {
            let reason = format!("{}: {error:#}", cell.id);
            store.write(&State {
                crashing: None,
                stopped: Some(reason.clone()),
            })?;
            anyhow::bail!("stopped: {reason}");
        }
        // Still alive: the crash did not come. The settings of this scenario must not reach the next one.
        judge::no_crash(&store, &journal, &cell)?;
        say("rebooting");
        systemctl(&["reboot"])?;
        return Ok(ExitCode::SUCCESS);
    }
    finish(config, &journal)
}

fn finish(config: &MasterConfig, journal: &Journal) -> Result<ExitCode> {
    let reports = journal.reports()?;
    let write = |name: &str, text: String| atomic::write(&config.state.join(name), text.as_bytes());
    write("report.json", serde_json::to_string_pretty(&reports)?)?;
    write("report.xml", test::formats::junit::document(&reports)?)?;
    let page = config.state.join("report.html");
    let html = test::formats::html::document(journal.folder(), &page, journal.plan(), &reports)?;
    write("report.html", html)?;
    systemctl(&["disable", setup::UNIT])?;
    say(&format!(
        "finished: {}; reports in {}",
        report::summary(&reports),
        config.state.display()
    ));
    if let Some(command) = &config.at_end {
        Command::new("/bin/sh")
            .args(["-c", command])
            .status()
            .with_context(|| format!("running {command}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Into the kernel log: it reaches serial consoles and the next dump.
fn say(text: &str) {
    let _ = std::fs::write("/dev/kmsg", format!("<5>kdumpkit master: {text}\n"));
    println!("{text}");
}

fn systemctl(arguments: &[&str]) -> Result<()> {
    let status = Command::new("systemctl").args(arguments).status();
    let status = status.with_context(|| format!("starting systemctl {}", arguments.join(" ")))?;
    ensure!(status.success(), "systemctl {} failed", arguments.join(" "));
    Ok(())
}

/// Why a scenario cannot be run on a machine without QEMU around it.
fn needs_a_guest(scenario: &Scenario) -> Option<&'static str> {
    if scenario.trigger.nmi_after_s.is_some() {
        Some("the NMI comes from QEMU")
    } else if !scenario.devices.is_empty() {
        Some("it needs a device of QEMU")
    } else if scenario.sabotage.is_some() {
        Some("it is broken on purpose by the runner of guests")
    } else {
        None
    }
}
