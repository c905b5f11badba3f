// SPDX-License-Identifier: GPL-2.0-or-later
//! The kdumpkit binary. One subcommand is one module of the library; this file only lists them.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about = "Kdump, smarter, easier, trustier")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {}

fn main() -> ExitCode {
    match Cli::parse().command {}
}
