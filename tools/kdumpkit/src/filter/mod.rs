// SPDX-License-Identifier: GPL-2.0-or-later
//! `kdumpkit filter`: writes the part of a vmcore that is worth keeping.
//!
//! The same command runs under the name makedumpfile, with its options. [`args`] is the command line, [`job`] what it
//! asks for after checking, [`run`] does a filter job, [`extract`] and [`usage`] the commands that only read, [`report`] and
//! [`progress`] are what the person sees.

mod args;
mod extract;
mod job;
mod progress;
mod report;
mod run;
mod usage;

pub use args::FilterArgs;
pub(crate) use run::open;

use clap::Parser;
use job::Task;
use std::process::ExitCode;

/// Exit status when the dump belongs to another kernel than the `-i` or `-x` file.
const EXIT_WRONG_RELEASE: u8 = 2;
/// Exit status when the target has no room for any of the dump levels.
const EXIT_NO_SPACE: u8 = 3;
/// Exit status when the dump is written but marked incomplete, because pages of the source cannot be read.
pub(crate) const EXIT_INCOMPLETE: u8 = 4;

/// The command line when the program is called makedumpfile.
#[derive(Parser)]
#[command(name = "makedumpfile", version, disable_version_flag = true)]
struct Makedumpfile {
    #[command(flatten)]
    args: FilterArgs,
}

/// Runs as makedumpfile if that is the program's name.
pub fn as_makedumpfile() -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    let name = std::path::Path::new(&name).file_name()?;
    (name == "makedumpfile").then(|| {
        let args = Makedumpfile::parse().args;
        main(&args).unwrap_or_else(|error| {
            eprintln!("makedumpfile: error: {error:#}");
            ExitCode::FAILURE
        })
    })
}

/// Runs the command.
///
/// # Errors
/// Everything but another release, a full target and unreadable pages, which have exit statuses of their own.
pub fn main(args: &FilterArgs) -> anyhow::Result<ExitCode> {
    let result = match job::Task::new(args)? {
        Task::Version => {
            println!(
                "kdumpkit filter {} (makedumpfile options)",
                env!("CARGO_PKG_VERSION")
            );
            Ok(())
        }
        Task::Filter(job) => run::filter(&job),
        Task::Generate { vmlinux, output } => crate::mkdfinfo::from_vmlinux(&vmlinux)
            .and_then(|info| Ok(std::fs::write(&output, info.to_text())?)),
        Task::Rearrange { output, overwrite } => extract::rearrange(&output, overwrite),
        Task::DumpDmesg {
            dump,
            info,
            log,
            overwrite,
        } => extract::dump_dmesg(&dump, info.as_deref(), &log, overwrite),
        Task::MemUsage {
            source,
            info,
            threads,
            json,
        } => usage::mem_usage(&source, info.as_deref(), threads, json),
        Task::Explain { dump, info, pfn } => extract::explain(&dump, info.as_deref(), pfn),
    };
    let Err(error) = result else {
        return Ok(ExitCode::SUCCESS);
    };
    let status = exit_status(&error);
    if status == 1 {
        return Err(error);
    }
    eprintln!("kdumpkit filter: error: {error:#}");
    Ok(ExitCode::from(status))
}

fn exit_status(error: &anyhow::Error) -> u8 {
    if let Some(vmcoreinfo::OverlayError::OtherKernel { .. }) = error.downcast_ref() {
        return EXIT_WRONG_RELEASE;
    }
    if error.is::<run::Incomplete>() {
        return EXIT_INCOMPLETE;
    }
    match error.downcast_ref() {
        Some(vmcore::Error::NoSpace { .. }) => EXIT_NO_SPACE,
        _ => 1,
    }
}
