// SPDX-License-Identifier: GPL-2.0-or-later
//! kdumpkit-init: what of kdumpkit the capture initramfs needs, and nothing else. It is /init there, the processes that
//! /init starts, and the early loader.

use clap::{Parser, Subcommand};
use kdumpkit::{early, filter, init};
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about = "/init of the capture initramfs")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(hide = true)]
    Attempt(init::capture::AttemptArgs),
    /// The capture kernel as the first act of the system initramfs
    #[command(subcommand)]
    Early(Early),
    Filter(Box<filter::FilterArgs>),
}

#[derive(Subcommand)]
enum Early {
    /// Load it
    Load,
}

fn main() -> ExitCode {
    kdumpkit::program(|| match Cli::parse().command {
        Command::Attempt(args) => init::capture::attempt_main(&args),
        Command::Early(Early::Load) => early::load_main(),
        Command::Filter(args) => filter::main(&args),
    })
}
