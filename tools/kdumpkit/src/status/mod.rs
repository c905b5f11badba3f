// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit status`: what would happen on a crash right now, and what is missing.

pub mod facts;
pub mod judge;
pub mod targets;

#[cfg(test)]
mod tests;

use crate::config::{Config, DEFAULT_PATH};
use crate::load::image::Image;
use crate::load::initramfs::{self, Initramfs};
use anyhow::Result;
use clap::Args;
use facts::Facts;
use judge::{Finding, Level, judge};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A crash is captured, but something is to be mended.
const EXIT_WARN: u8 = 3;
/// A crash is not captured.
const EXIT_MISSING: u8 = 4;

/// Say what would happen on a crash right now, and what is missing
///
/// Exit status: 0 a crash is captured, 3 it is captured but something is to be mended, 4 it is not captured.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The configuration
    #[arg(long, default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// One JSON object: captured, findings, facts
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    captured: bool,
    level: Level,
    findings: &'a [Finding],
    facts: &'a Facts,
}

/// Runs `kdumpkit status`.
///
/// # Errors
/// The report cannot be written.
pub fn main(args: &StatusArgs) -> Result<ExitCode> {
    let facts = read(&args.config);
    let findings = judge(&facts);
    let worst = findings.iter().map(|f| f.level).max().unwrap_or(Level::Ok);
    if args.json {
        let report = Report {
            captured: worst < Level::Missing,
            level: worst,
            findings: &findings,
            facts: &facts,
        };
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", text(&findings, worst));
    }
    Ok(match worst {
        Level::Ok | Level::Note => ExitCode::SUCCESS,
        Level::Warn => ExitCode::from(EXIT_WARN),
        Level::Missing => ExitCode::from(EXIT_MISSING),
    })
}

fn read(path: &Path) -> Facts {
    let config = Config::load(path);
    let load = config.as_ref().map(|c| c.load.clone()).unwrap_or_default();
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let image = Image::chosen(load.kernel.as_deref(), &release);
    let inputs = initramfs::inputs(path, &load, &release);
    let initramfs = Initramfs::look(&load.initramfs_path(&release), &inputs);
    let mut facts = Facts::read(image, initramfs);
    facts.targets = config.as_ref().map(targets::look).unwrap_or_default();
    facts.config = config
        .map(|_| path.display().to_string())
        .map_err(|error| error.to_string());
    facts
}

/// The report for people: the verdict, then a line for each finding with what to do.
fn text(findings: &[Finding], worst: Level) -> String {
    let verdict = match worst {
        Level::Ok | Level::Note => "A crash now is captured.",
        Level::Warn => "A crash now is captured, but something is to be mended.",
        Level::Missing => "A crash now is NOT captured.",
    };
    let mut out = format!("{verdict}\n");
    for finding in findings {
        out += &format!(
            "  {:7}  {:24}  {}\n",
            finding.level.word(),
            finding.what,
            finding.says
        );
        if let Some(todo) = &finding.todo {
            out += &format!("  {:7}  {:24}  -> {todo}\n", "", "");
        }
    }
    out
}
