// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit report`: who crashed, where, and what the machine was like, from the dump alone.
//!
//! [`collect`] gathers everything into one [`Report`], which serde makes JSON of; [`text`] and [`html`] show it to people.

mod collect;
mod html;
mod text;

pub use collect::Report;

use anyhow::{Context, Result};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Who crashed, where, on which CPU, and what the machine was like: from the dump alone, no debug package needed
///
/// Symbols, types and unwind tables come from the dump's memory (kallsyms, BTF, ORC). What is not in the dump is left out and
/// named at the end of the report.
///
/// Exit status: 0 done; 1 the file is no dump.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// The dump: kdump-compressed, ELF or flattened; /proc/vmcore
    #[arg(value_name = "DUMP")]
    dump: PathBuf,
    /// mkdfinfo file of the crashed kernel, for a dump that lost its note
    #[arg(short = 'i', value_name = "FILE")]
    info: Option<PathBuf>,
    /// JSON instead of text
    #[arg(long)]
    json: bool,
    /// Write one self-contained HTML page as well
    #[arg(long, value_name = "PAGE")]
    html: Option<PathBuf>,
    /// How many lines of the end of the kernel log to show
    #[arg(long, value_name = "N", default_value_t = 40)]
    log_lines: usize,
}

const EXAMPLES: &str = "\
Examples:
  kdumpkit report /var/crash/vmcore
  kdumpkit report --json /var/crash/vmcore | jq .crash.place
  kdumpkit report --html crash.html /var/crash/vmcore";

/// Runs `kdumpkit report`.
///
/// # Errors
/// The file is no dump, or the page cannot be written.
pub fn main(args: &ReportArgs) -> Result<ExitCode> {
    let dump = crate::filter::open(&args.dump, args.info.as_deref())?;
    let report = Report::read(&dump, &args.dump, args.log_lines);
    if let Some(page) = &args.html {
        crate::atomic::write(page, html::page(&report)?.as_bytes())?;
    }
    let mut out = std::io::stdout().lock();
    let shown = if args.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        text::text(&report)
    };
    out.write_all(shown.as_bytes())
        .context("writing to standard output")?;
    Ok(ExitCode::SUCCESS)
}
