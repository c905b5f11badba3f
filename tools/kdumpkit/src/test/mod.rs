// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit test`: crash a stock kernel in QEMU, capture, read the dump back, say what happened.

pub mod cycle;
mod progress;
pub mod report;
pub mod scenario;
pub mod verdict;

use crate::init::Collector;
use crate::tree::Tree;
use crate::vm::Accel;
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use cycle::Bench;
use progress::Progress;
use report::{Outcome, Report};
use scenario::Scenario;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Crash stock kernels in QEMU and judge each dump by its content.
///
/// Exit status: 0 every scenario passed, 1 one failed, 3 a virtual machine was lost, 2 wrong usage.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Crash points, comma-separated (modprobe's cpoint_name=)
    #[arg(
        long = "point",
        value_name = "POINT",
        value_delimiter = ',',
        required = true
    )]
    points: Vec<String>,
    /// Crash types, comma-separated (cpoint_type=); every point is tried with every type
    #[arg(
        long = "type",
        value_name = "TYPE",
        value_delimiter = ',',
        default_value = "PANIC"
    )]
    types: Vec<String>,
    /// Crash on the N-th hit (cpoint_count=); lkdtm's default otherwise
    #[arg(long, value_name = "N")]
    count: Option<u32>,
    /// Depth of the recursion of OVERFLOW (recur_count=); lkdtm's default otherwise
    #[arg(long, value_name = "N")]
    recur: Option<u32>,
    /// Kernel release or the start of one (7.2, 7.3.4+deb13-amd64); the newest 7.x on offer otherwise
    #[arg(long, value_name = "VER", env = "KVER")]
    kernel: Option<String>,
    /// What writes the dump
    #[arg(long, value_enum, default_value = "kdumpkit")]
    collector: CollectorName,
    /// Memory reserved for the capture kernel
    #[arg(long, value_name = "SIZE", default_value = "256M")]
    crashkernel: String,
    /// Guests to run at once; by default one for every two CPUs
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// A cycle that takes longer than this many seconds is lost
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    deadline: u64,
    /// Write the reports to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep console, command line and dump of every scenario in this folder; otherwise only of those that do not pass
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Make the capture kernel hang: shows what a lost virtual machine looks like
    #[arg(long)]
    hang_capture: bool,
}

/// The collectors that can be asked for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum CollectorName {
    /// kdumpkit's filter, level 31, zstd
    Kdumpkit,
    /// The distribution's makedumpfile, lzo
    Makedumpfile,
    /// The whole vmcore
    Elf,
}

impl CollectorName {
    fn collector(self) -> Collector {
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
}

/// Runs `kdumpkit test`.
///
/// # Errors
/// What all scenarios need is missing: the source tree, the kernel, our modules, disk space.
pub fn main(args: &TestArgs) -> Result<ExitCode> {
    let tree = Tree::find()?;
    let folder = run_folder(&tree, args)?;
    let bench = make_bench(tree, args)?;
    let reports = run_all(&bench, args, &folder)?;
    if args.keep.is_none() {
        // Only empty ones go: what did not pass has left its folder behind.
        let _ = fs::remove_dir(&folder);
    }
    if let Some(file) = &args.json {
        fs::write(file, serde_json::to_vec_pretty(&reports)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    if reports.len() > 1 {
        let count = |outcome| reports.iter().filter(|r| r.outcome == outcome).count();
        let [pass, fail, lost] = [Outcome::Pass, Outcome::Fail, Outcome::Lost].map(count);
        println!(
            "{} scenarios: {pass} passed, {fail} failed, {lost} lost",
            reports.len()
        );
    }
    let worst = reports.iter().map(|r| r.outcome).max();
    Ok(worst.unwrap_or(Outcome::Fail).exit_code())
}

fn run_folder(tree: &Tree, args: &TestArgs) -> Result<PathBuf> {
    let folder = args
        .keep
        .clone()
        .unwrap_or_else(|| tree.path(&format!("build/runs/{}", std::process::id())));
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder.canonicalize()?)
}

fn make_bench(tree: Tree, args: &TestArgs) -> Result<Bench> {
    let kernel = tree.kernel(args.kernel.as_deref())?;
    let modules = kernel.modules()?;
    let kdumpkit = std::env::current_exe().context("finding this program's own file")?;
    let runs = tree.path("build/runs");
    fs::create_dir_all(&runs)?;
    let accel = Accel::probe(&tree, &kernel, &kdumpkit, &runs)?;
    Ok(Bench {
        tree,
        kernel,
        kdumpkit,
        modules,
        accel,
    })
}

fn run_all(bench: &Bench, args: &TestArgs, folder: &Path) -> Result<Vec<Report>> {
    let all: VecDeque<_> = args
        .points
        .iter()
        .flat_map(|p| args.types.iter().map(move |t| scenario(args, p, t)))
        .enumerate()
        .collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(cores / 2).clamp(1, all.len().max(1));
    let total = all.len();
    let queue = Mutex::new(all);
    let reports = Mutex::new(Vec::new());
    let progress = Progress::default();
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut q| q.pop_front());
                    let Some((index, scenario)) = next else {
                        return;
                    };
                    let report = run_one(bench, &scenario, folder, &progress, args.keep.is_some());
                    progress.print(&report.to_string());
                    println!("{}", report.verdict_line());
                    if let Ok(mut all) = reports.lock() {
                        all.push((index, report));
                    }
                }
            });
        }
    });
    let mut reports = reports.into_inner().unwrap_or_default();
    ensure!(
        reports.len() == total,
        "a worker ended early: {} of {total} scenarios were run",
        reports.len()
    );
    reports.sort_by_key(|(index, _)| *index);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}

fn scenario(args: &TestArgs, point: &str, crash_type: &str) -> Scenario {
    Scenario {
        point: point.to_owned(),
        crash_type: crash_type.to_owned(),
        count: args.count,
        recur: args.recur,
        crashkernel: args.crashkernel.clone(),
        collector: args.collector.collector(),
        deadline: Duration::from_secs(args.deadline),
        hang_capture: args.hang_capture,
    }
}

fn run_one(
    bench: &Bench,
    scenario: &Scenario,
    parent: &Path,
    progress: &Progress,
    keep: bool,
) -> Report {
    let start = Instant::now();
    let folder = parent.join(scenario.name());
    let line = progress.line(&scenario.name());
    let recording = fs::create_dir_all(&folder)
        .with_context(|| format!("creating {}", folder.display()))
        .and_then(|()| bench.cycle(scenario, &folder, &mut |event| line.event(event)));
    let mut report = verdict::judge(scenario, &bench.kernel.release, recording);
    report.seconds = start.elapsed().as_secs_f64();
    line.finish();
    if report.outcome != Outcome::Pass || keep {
        cycle::tidy(&folder);
        report.folder = Some(folder);
    } else {
        let _ = fs::remove_dir_all(&folder);
    }
    report
}
