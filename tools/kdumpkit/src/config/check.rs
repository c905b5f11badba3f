// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit config`: is the file right, and what does it mean?

use super::{Config, DEFAULT_PATH, Save, When};
use anyhow::Result;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Check the configuration, or print one to begin with
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check FILE and say what the capture kernel would do
    Check {
        /// The configuration
        #[arg(default_value = DEFAULT_PATH)]
        file: PathBuf,
        /// Print the checked configuration as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a configuration with every key
    Example,
}

/// The example; also what Documentation/config.rst shows and the tests check.
pub(super) const EXAMPLE: &str = include_str!("example.toml");

/// Runs `kdumpkit config`.
///
/// # Errors
/// The file is wrong: line, key, what was there, what is valid.
pub fn main(args: &ConfigArgs) -> Result<ExitCode> {
    match &args.command {
        Command::Example => print!("{EXAMPLE}"),
        Command::Check { file, json } => {
            let config = Config::load(file)?;
            if *json {
                println!("{}", serde_json::to_string_pretty(&config)?);
            } else {
                print!("{}", describe(&config));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration in words, a line a step.
fn describe(config: &Config) -> String {
    let mut text = String::new();
    for (n, target) in config.targets.iter().enumerate() {
        let what = match target.save {
            Save::Dump => "kernel log and dump",
            Save::Dmesg => "kernel log",
        };
        let when = match target.when {
            _ if n == 0 => "first",
            When::Failed => "if no dump is saved yet",
            When::Saved => "if a dump is saved already",
            When::Always => "in any case",
        };
        let retries = match target.retries {
            0 => String::new(),
            n => format!(", {} tries", n + 1),
        };
        text.push_str(&format!(
            "target {}: {when}, {what} to {} within {} s{retries}\n",
            n + 1,
            target.kind.place(),
            target.deadline_s
        ));
    }
    let action = |action| serde_json::to_string(&action).unwrap_or_default();
    text.push_str(&format!(
        "filter: {}\nafterwards: {}; when nothing was saved: {}\n",
        config.filter.join(" "),
        action(config.final_action),
        action(config.failure_action)
    ));
    text
}
