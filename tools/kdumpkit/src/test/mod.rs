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
use crate::vm::Lab;
use anyhow::Result;
use args::TestCommand;
use report::{Outcome, Report};
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

/// With this program as /init.
fn make_lab(tree: &Tree, wanted: Option<&str>) -> Result<Lab> {
    Lab::new(tree, wanted, &crate::initramfs::init_program()?)
}

fn exit_code(reports: &[Report]) -> ExitCode {
    let worst = reports.iter().map(|r| r.outcome).max();
    worst.unwrap_or(Outcome::Fail).exit_code()
}
