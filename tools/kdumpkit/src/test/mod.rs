// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit test`: crash a stock kernel in QEMU, capture, read the dump back, say what happened.
//!
//! A [`scenario::Scenario`] is what to try; [`cycle`] runs one in a guest; [`evidence`] and [`verdict`] judge what came
//! out; [`journal`] and [`runner`] do that for many, so that a run can be ended and taken up again; [`formats`] are the
//! reports; [`soak`] repeats.

mod ad_hoc;
pub mod args;
pub mod cycle;
pub mod evidence;
pub mod formats;
pub mod journal;
mod matrix_run;
pub mod progress;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod soak;
pub mod verdict;

pub use args::{RunArgs, TestArgs};
pub use matrix_run::{find_run, main as run};

use crate::tree::Tree;
use crate::vm::Accel;
use anyhow::Result;
use args::TestCommand;
use cycle::Bench;
use report::{Outcome, Report};
use std::fs;
use std::process::ExitCode;

/// Runs `kdumpkit test`.
///
/// # Errors
/// What all scenarios need is missing: the source tree, the kernel, our modules, disk space.
pub fn main(args: &TestArgs) -> Result<ExitCode> {
    match &args.command {
        None => ad_hoc::main(&args.ad_hoc),
        Some(TestCommand::Run(args)) => matrix_run::main(args),
        Some(TestCommand::Report(args)) => matrix_run::report(args),
        Some(TestCommand::Soak(args)) => soak::main(args),
    }
}

/// Prepares everything that guests of this kernel share.
fn make_bench(tree: &Tree, wanted: Option<&str>) -> Result<Bench> {
    let kernel = tree.kernel(wanted)?;
    let modules = kernel.modules()?;
    let kdumpkit = crate::initramfs::init_program()?;
    let runs = tree.path("build/runs");
    fs::create_dir_all(&runs)?;
    let accel = Accel::probe(tree, &kernel, &kdumpkit, &runs)?;
    Ok(Bench {
        tree: tree.clone(),
        kernel,
        kdumpkit,
        modules,
        accel,
    })
}

fn exit_code(reports: &[Report]) -> ExitCode {
    let worst = reports.iter().map(|r| r.outcome).max();
    worst.unwrap_or(Outcome::Fail).exit_code()
}
