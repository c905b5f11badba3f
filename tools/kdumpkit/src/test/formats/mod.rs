// SPDX-License-Identifier: GPL-2.0-or-later
//! Reports of a run, for programs and for people.

pub mod html;
pub mod junit;
pub mod ktap;
#[cfg(test)]
pub(crate) mod samples;
mod trend;

use super::journal;
use super::report::Report;
use crate::atomic;
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};

/// Which reports are wanted.
#[derive(Debug, Clone, Default, Args)]
pub struct Outputs {
    /// KTAP on standard output instead of verdict lines
    #[arg(long)]
    pub(super) ktap: bool,
    /// Write JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write everything known to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write one self-contained HTML page to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Outputs {
    /// Writes those that are files.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, run: &Path, reports: &[Report]) -> Result<()> {
        if let Some(path) = &self.junit {
            atomic::write(path, junit::document(reports)?.as_bytes())?;
        }
        if let Some(path) = &self.json {
            atomic::write(path, &serde_json::to_vec_pretty(reports)?)?;
        }
        if let Some(path) = &self.html {
            let plan = journal::read_plan(run)?;
            atomic::write(path, html::document(run, path, &plan, reports)?.as_bytes())?;
        }
        Ok(())
    }
}
