// SPDX-License-Identifier: GPL-2.0-or-later
//! The command line of `kdumpkit test`.

use super::formats::Outputs;
use super::soak::SoakArgs;
use crate::init::Collector;
use crate::matrix::Selection;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Crash stock kernels in QEMU and judge each dump by its content.
///
/// Exit status: 0 every scenario passed, 1 one failed, 3 a virtual machine was lost, 2 wrong usage.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct TestArgs {
    /// Run the matrix instead of single scenarios
    #[command(subcommand)]
    pub(super) command: Option<TestCommand>,
    #[command(flatten)]
    pub(super) ad_hoc: AdHocArgs,
}

/// What else `kdumpkit test` does.
#[derive(Debug, Subcommand)]
pub enum TestCommand {
    /// Run scenarios of tests/scenarios, taking up an unfinished run
    Run(RunArgs),
    /// Write the reports of a run that is there
    Report(ReportArgs),
    /// Run scenarios at random again and again, and say how often one comes out wrong
    Soak(SoakArgs),
}

/// Scenarios by hand.
#[derive(Debug, Args)]
pub struct AdHocArgs {
    /// Crash points, comma-separated (modprobe's cpoint_name=)
    #[arg(
        long = "point",
        value_name = "POINT",
        value_delimiter = ',',
        required = true
    )]
    pub(super) points: Vec<String>,
    /// Crash types, comma-separated (cpoint_type=); every point is tried with every type
    #[arg(
        long = "type",
        value_name = "TYPE",
        value_delimiter = ',',
        default_value = "PANIC"
    )]
    pub(super) types: Vec<String>,
    /// Crash on the N-th hit (cpoint_count=); lkdtm's default otherwise
    #[arg(long, value_name = "N")]
    pub(super) count: Option<u32>,
    /// Depth of the recursion of OVERFLOW (recur_count=); lkdtm's default otherwise
    #[arg(long, value_name = "N")]
    pub(super) recur: Option<u32>,
    /// Kernel release or the start of one (7.2, 7.3.4+deb13-amd64); the newest 7.x on offer otherwise
    #[arg(long, value_name = "VER", env = "KVER")]
    pub(super) kernel: Option<String>,
    /// What writes the dump
    #[arg(long, value_enum, default_value = "kdumpkit")]
    pub(super) collector: CollectorName,
    /// Memory reserved for the capture kernel
    #[arg(long, value_name = "SIZE", default_value = "256M")]
    pub(super) crashkernel: String,
    #[command(flatten)]
    pub(super) jobs: Jobs,
    /// A cycle that takes longer than this many seconds is lost
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub(super) deadline: u64,
    /// Write the reports to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Keep console, command line and dump of every scenario in this folder; otherwise only of those that do not pass
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
    /// Make the capture kernel hang: shows what a lost virtual machine looks like
    #[arg(long)]
    pub(super) hang_capture: bool,
}

/// `kdumpkit test run`, `kdumpkit matrix run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    #[command(flatten)]
    pub(super) jobs: Jobs,
    /// Folder of this run: begins it, or goes on with it. Otherwise one in build/matrix/, and the newest there that is
    /// unfinished and was asked for with the same words is gone on with
    #[arg(long, value_name = "DIR")]
    pub(super) run: Option<PathBuf>,
    /// Begin anew, whatever is unfinished
    #[arg(long)]
    pub(super) fresh: bool,
    /// Keep console, command line and dump of scenarios that pass, too
    #[arg(long)]
    pub(super) keep: bool,
    #[command(flatten)]
    pub(super) outputs: Outputs,
}

/// `kdumpkit test report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folder of the run
    pub(super) run: PathBuf,
    #[command(flatten)]
    pub(super) outputs: Outputs,
}

/// How many guests.
#[derive(Debug, Clone, Copy, Args)]
pub struct Jobs {
    /// Guests to run at once; by default one for every two CPUs, as far as memory reaches
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

/// What a guest takes beside its 1 GiB: QEMU itself and its disks' pages.
const GUEST_KIB: u64 = 1600 << 10;

impl Jobs {
    /// The number for this machine, at least 1.
    #[must_use]
    pub fn number(self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let free_kib = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemAvailable:"))
            .and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let by_memory = free_kib.map_or(cores, |kib| (kib / GUEST_KIB) as usize);
        self.jobs.unwrap_or((cores / 2).min(by_memory)).max(1)
    }
}

/// The collectors that can be asked for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CollectorName {
    /// kdumpkit's filter, level 31, zstd
    Kdumpkit,
    /// The distribution's makedumpfile, lzo
    Makedumpfile,
    /// The whole vmcore
    Elf,
}

impl CollectorName {
    /// With its arguments.
    #[must_use]
    pub fn collector(self) -> Collector {
        let owned = |arguments: &[&str]| arguments.iter().map(|a| (*a).to_owned()).collect();
        match self {
            CollectorName::Kdumpkit => Collector::Filter {
                arguments: owned(&["-z", "-d", "31"]),
            },
            // Level 17: with 31 the packaged makedumpfile loses pages of 7.x kernels that debuggers need.
            CollectorName::Makedumpfile => Collector::Makedumpfile {
                arguments: owned(&["-l", "-d", "17"]),
            },
            CollectorName::Elf => Collector::Elf,
        }
    }

    /// As it is spelled in scenario files.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |v| v.get_name().to_owned())
    }
}
