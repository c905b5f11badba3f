// SPDX-License-Identifier: GPL-2.0-or-later
//! The kdumpkit binary. One subcommand is one module of the library; this file only lists them.

use clap::{Parser, Subcommand};
use kdumpkit::{
    config, early, estimate, filter, init, initramfs, load, master, matrix, mkdfinfo, report,
    status, test,
};
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about = "Kdump, smarter, easier, trustier")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(hide = true)]
    Attempt(init::capture::AttemptArgs),
    Config(config::ConfigArgs),
    Early(early::EarlyArgs),
    Estimate(estimate::EstimateArgs),
    Filter(filter::FilterArgs),
    Initramfs(initramfs::InitramfsArgs),
    Load(load::LoadArgs),
    Master(master::MasterArgs),
    Matrix(matrix::MatrixArgs),
    Mkdfinfo(mkdfinfo::MkdfinfoArgs),
    Report(report::ReportArgs),
    Status(status::StatusArgs),
    Test(test::TestArgs),
    Unload(load::UnloadArgs),
}

fn main() -> ExitCode {
    kdumpkit::program(|| {
        if let Some(status) = filter::as_makedumpfile() {
            return Ok(status);
        }
        match Cli::parse().command {
            Command::Attempt(args) => init::capture::attempt_main(&args),
            Command::Config(args) => config::main(&args),
            Command::Early(args) => early::main(&args),
            Command::Estimate(args) => estimate::main(&args),
            Command::Filter(args) => filter::main(&args),
            Command::Initramfs(args) => initramfs::main(&args),
            Command::Load(args) => load::main(&args),
            Command::Master(args) => master::main(&args),
            Command::Matrix(args) => matrix::main(&args),
            Command::Mkdfinfo(args) => mkdfinfo::main(&args),
            Command::Report(args) => report::main(&args),
            Command::Status(args) => status::main(&args),
            Command::Test(args) => test::main(&args),
            Command::Unload(args) => load::unload(&args),
        }
    })
}
