// SPDX-License-Identifier: GPL-2.0-or-later
//! What the command line asks for, checked: bad combinations end here, before anything is opened.

use super::args::FilterArgs;
use anyhow::{Result, bail};
use std::path::PathBuf;
use vmcore::codec::Codec;
use vmcore::pages::Level;

/// One thing to do.
pub enum Task {
    /// `-v`.
    Version,
    /// Write a dump.
    Filter(Job),
    /// `--dump-dmesg`.
    DumpDmesg {
        /// The dump.
        dump: PathBuf,
        /// Where the text goes.
        log: PathBuf,
        /// `-f`.
        overwrite: bool,
    },
    /// `--explain`.
    Explain {
        /// The dump.
        dump: PathBuf,
        /// `-i`.
        info: Option<PathBuf>,
        /// The page frame.
        pfn: u64,
    },
}

/// A dump to write.
#[derive(Debug, Clone)]
pub struct Job {
    /// The source.
    pub dump: PathBuf,
    /// The target.
    pub output: PathBuf,
    /// `-i`.
    pub info: Option<PathBuf>,
    /// Levels to try; never empty.
    pub levels: Vec<Level>,
    /// Page compression.
    pub codec: Codec,
    /// Its level.
    pub compression_level: i32,
    /// `-f`.
    pub overwrite: bool,
    /// `--force`.
    pub force: bool,
    /// `-L`.
    pub limit: Option<u64>,
    /// Worker threads.
    pub threads: usize,
    /// Compare what was written.
    pub verify: bool,
    /// Wait for the device.
    pub sync: bool,
    /// `--stats`.
    pub stats: bool,
    /// `--json`.
    pub json: bool,
    /// Show progress.
    pub progress: bool,
}

impl Task {
    /// Checks the arguments.
    ///
    /// # Errors
    /// A combination that has no meaning, with what would have.
    pub fn new(args: &FilterArgs) -> Result<Task> {
        if args.version {
            return Ok(Task::Version);
        }
        if args.xen {
            bail!(
                "-X: Xen dumps are not supported: the hypervisor's page classes are not known here"
            );
        }
        let files = args.files.as_slice();
        if let Some(pfn) = args.explain {
            let [dump] = files else {
                bail!(
                    "--explain takes one file, VMCORE; {} were given",
                    files.len()
                );
            };
            let (dump, info) = (dump.clone(), args.info.clone());
            return Ok(Task::Explain { dump, info, pfn });
        }
        let [dump, output] = files else {
            bail!(
                "two files are needed, VMCORE and DUMPFILE; {} were given",
                files.len()
            );
        };
        if args.dump_dmesg {
            let (dump, log, overwrite) = (dump.clone(), output.clone(), args.overwrite);
            return Ok(Task::DumpDmesg {
                dump,
                log,
                overwrite,
            });
        }
        let codec = codec(args);
        Ok(Task::Filter(Job {
            dump: dump.clone(),
            output: output.clone(),
            info: args.info.clone(),
            levels: match args.level.as_slice() {
                [] => vec![Level::NONE],
                levels => levels.to_vec(),
            },
            codec,
            compression_level: compression_level(codec, args.compression_level)?,
            overwrite: args.overwrite,
            force: args.force,
            limit: args.limit,
            threads: threads(args.num_threads),
            verify: !args.no_verify,
            sync: !args.no_sync,
            stats: args.stats || args.message_level & 16 != 0,
            json: args.json,
            progress: args.message_level & 1 != 0,
        }))
    }
}

fn codec(args: &FilterArgs) -> Codec {
    match () {
        () if args.zlib => Codec::Zlib,
        () if args.lzo => Codec::Lzo,
        () if args.snappy => Codec::Snappy,
        () if args.uncompressed => Codec::Raw,
        () => Codec::Zstd,
    }
}

fn compression_level(codec: Codec, level: i32) -> Result<i32> {
    let valid = match codec {
        Codec::Zlib => 1..=12,
        Codec::Zstd => -7..=22,
        _ => 1..=1,
    };
    if !valid.contains(&level) {
        let (first, last) = valid.into_inner();
        bail!(
            "--compression-level {level}: valid for {} is {first} to {last}",
            codec.name()
        );
    }
    Ok(level)
}

/// More threads than CPUs are of no use; on one CPU a thread of its own is not either.
fn threads(wanted: Option<usize>) -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
    wanted.unwrap_or(cpus).clamp(1, 1024)
}
