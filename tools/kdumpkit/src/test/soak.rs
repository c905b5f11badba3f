// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit test soak`: the same scenarios at random again and again; flakiness as a number.

use super::args::Jobs;
use super::formats::Outputs;
use crate::matrix::Selection;
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;

/// `kdumpkit test soak`.
#[derive(Debug, Args)]
pub struct SoakArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    #[command(flatten)]
    pub(super) jobs: Jobs,
    /// Crash cycles in all
    #[arg(long, value_name = "N", default_value_t = 100)]
    cycles: u32,
    /// Seed of the order; chosen and said when it is not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    pub(super) outputs: Outputs,
}

pub(super) fn main(_args: &SoakArgs) -> Result<ExitCode> {
    anyhow::bail!("not yet")
}
