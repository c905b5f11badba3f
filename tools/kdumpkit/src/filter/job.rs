// SPDX-License-Identifier: GPL-2.0-or-later
//! What the command line asks for, checked: bad combinations end here, before anything is opened.

use super::args::FilterArgs;
use anyhow::{Result, bail};
use std::path::PathBuf;
use vmcore::codec::Codec;
use vmcore::pages::Level;
use vmcore::write::Check;

/// One thing to do.
pub enum Task {
    /// `-v`.
    Version,
    /// Write a dump.
    Filter(Job),
    /// `-g FILE -x VMLINUX`.
    Generate {
        /// `-x`.
        vmlinux: PathBuf,
        /// `-g`.
        output: PathBuf,
    },
    /// `-R`.
    Rearrange {
        /// The target.
        output: PathBuf,
        /// `-f`.
        overwrite: bool,
    },
    /// `--dump-dmesg`.
    DumpDmesg {
        /// The dump.
        dump: PathBuf,
        /// `-i`.
        info: Option<PathBuf>,
        /// Where the text goes.
        log: PathBuf,
        /// `-f`.
        overwrite: bool,
    },
    /// `--mem-usage`.
    MemUsage {
        /// /proc/kcore, or a dump.
        source: PathBuf,
        /// `-i`.
        info: Option<PathBuf>,
        /// Threads that look for pages of zeros.
        threads: usize,
        /// `--json`.
        json: bool,
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

/// Where a dump goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// One file or device.
    File(PathBuf),
    /// A flattened stream.
    Stdout {
        /// Compressed as a whole.
        zstd: bool,
    },
    /// A split set.
    Split(Vec<PathBuf>),
}

/// A dump to write.
#[derive(Debug, Clone)]
pub struct Job {
    /// The source: one file, or those of a split set.
    pub dump: Vec<PathBuf>,
    /// The target.
    pub target: Target,
    /// ELF instead of kdump-compressed.
    pub elf: bool,
    /// `-i`.
    pub info: Option<PathBuf>,
    /// `-x`.
    pub vmlinux: Option<PathBuf>,
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
    /// How to compare what was written.
    pub check: Check,
    /// `--verify`: a target that cannot be read back is an error.
    pub must_read_back: bool,
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
        if let (Some(output), Some(vmlinux)) = (&args.generate, &args.vmlinux) {
            let (vmlinux, output) = (vmlinux.clone(), output.clone());
            return Ok(Task::Generate { vmlinux, output });
        }
        let files = args.files.as_slice();
        if args.mem_usage {
            let [source] = files else {
                bail!(
                    "--mem-usage takes one file, /proc/kcore or VMCORE; {} were given",
                    files.len()
                );
            };
            return Ok(Task::MemUsage {
                source: source.clone(),
                info: args.info.clone(),
                threads: threads(args.num_threads),
                json: args.json,
            });
        }
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
        if args.rearrange {
            let [output] = files else {
                bail!(
                    "-R takes one file, DUMPFILE, and reads the stream from stdin; {} were given",
                    files.len()
                );
            };
            let (output, overwrite) = (output.clone(), args.overwrite);
            return Ok(Task::Rearrange { output, overwrite });
        }
        if args.dump_dmesg {
            let [dump, log] = files else {
                bail!(
                    "--dump-dmesg takes two files, VMCORE and LOGFILE; {} were given",
                    files.len()
                );
            };
            return Ok(Task::DumpDmesg {
                dump: dump.clone(),
                info: args.info.clone(),
                log: log.clone(),
                overwrite: args.overwrite,
            });
        }
        Ok(Task::Filter(Job::new(args)?))
    }
}

impl Job {
    fn new(args: &FilterArgs) -> Result<Job> {
        let (dump, target) = files(args)?;
        let codec = codec(args);
        Ok(Job {
            dump,
            target,
            elf: args.elf,
            info: args.info.clone(),
            vmlinux: args.vmlinux.clone(),
            levels: match args.level.as_slice() {
                [] => vec![Level::NONE],
                [_, ..] if args.flattened && args.level.len() > 1 => {
                    bail!(
                        "-F with a list of dump levels: a stream cannot begin again, give one level"
                    )
                }
                levels => levels.to_vec(),
            },
            codec,
            compression_level: compression_level(codec, args.compression_level)?,
            overwrite: args.overwrite,
            force: args.force,
            limit: args.limit,
            threads: threads(args.num_threads),
            check: match args.no_verify {
                true => Check::No,
                false => Check::ReadBack,
            },
            must_read_back: args.verify,
            sync: !args.no_sync,
            stats: args.stats || args.message_level & 16 != 0,
            json: args.json,
            progress: args.message_level & 1 != 0,
        })
    }
}

/// Sources and target, by the options that change what the file arguments mean.
fn files(args: &FilterArgs) -> Result<(Vec<PathBuf>, Target)> {
    let files = args.files.as_slice();
    let count = files.len();
    match files {
        [_] if args.flattened && args.verify => {
            bail!(
                "--verify with -F: a stream cannot be read back; its pages are compared before they are written anyway"
            )
        }
        [dump] if args.flattened => {
            let zstd = args.stream.is_some();
            Ok((vec![dump.clone()], Target::Stdout { zstd }))
        }
        _ if args.flattened => {
            bail!("-F takes one file, VMCORE, and writes to stdout; {count} were given")
        }
        [dump, parts @ ..] if args.split && parts.len() >= 2 => {
            Ok((vec![dump.clone()], Target::Split(parts.to_vec())))
        }
        _ if args.split => {
            bail!("--split takes VMCORE and two or more DUMPFILEs; {count} files were given")
        }
        [parts @ .., output] if args.reassemble && parts.len() >= 2 => {
            Ok((parts.to_vec(), Target::File(output.clone())))
        }
        _ if args.reassemble => {
            bail!(
                "--reassemble takes two or more DUMPFILEs and the new one; {count} files were given"
            )
        }
        [dump, output] => Ok((vec![dump.clone()], Target::File(output.clone()))),
        _ => bail!("two files are needed, VMCORE and DUMPFILE; {count} were given"),
    }
}

fn codec(args: &FilterArgs) -> Codec {
    match () {
        () if args.zlib => Codec::Zlib,
        () if args.lzo => Codec::Lzo,
        () if args.snappy => Codec::Snappy,
        () if args.uncompressed || args.elf => Codec::Raw,
        // Pages that are compressed already would spoil the stream.
        () if args.stream.is_some() && !args.zstd => Codec::Raw,
        () => Codec::Zstd,
    }
}

fn compression_level(codec: Codec, level: Option<i32>) -> Result<i32> {
    let level = level.unwrap_or(codec.default_level());
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
